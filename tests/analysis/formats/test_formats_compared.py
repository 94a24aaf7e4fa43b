"""Families of formats: bits that are stored of each value, and the table that is printed of them."""

from __future__ import annotations

import pytest

import ptqsim as pq
from analysis.formats.accuracy import FormatAccuracy
from analysis.formats.compared import Compared
from analysis.formats.families import FAMILIES, family
from ptqsim.formats.blocks.named import BLOCKS

BLOCK_FAMILIES = ("mxint8", "mxfp8", "mxfp6", "mxfp6_e3m2", "mxfp4", "nvfp4")


@pytest.mark.parametrize(
    ("name", "stored"),
    [("mxint8", 8.25), ("mxfp8", 8.25), ("mxfp6", 6.25), ("mxfp6_e3m2", 6.25), ("mxfp4", 4.25), ("nvfp4", 4.5)],
)
def test_scales_of_blocks_are_stored(name: str, stored: float) -> None:
    (width,) = family(name).widths
    assert width + family(name).scale_bits == stored == BLOCKS[name].bits_per_value


def test_other_families_store_codes_alone() -> None:
    assert {name for name, made in FAMILIES.items() if made.scale_bits} == set(BLOCK_FAMILIES)
    assert family("e2m1").widths == (pq.E2M1.bits,)


def test_logarithms_have_the_widths_that_a_datapath_takes() -> None:
    assert [p.bits for p in FormatAccuracy(families=("log2",)).points()] == [5, 4, 3]
    assert [p.bits for p in FormatAccuracy(families=("log",)).points()] == [6, 5, 4, 3]


def test_the_table_says_what_is_stored_and_how_sure_it_is(workload) -> None:
    table = FormatAccuracy(families=("uniform", "mxfp4"), widths=(4,), images=8)
    assert isinstance(table, Compared)
    printed = table.printed(table.compute(workload))
    rows = [dict(zip(printed.columns, row, strict=True)) for row in printed.rows]
    assert [(row["Bits"], row["Formats"]) for row in rows] == [("4.25", "MXFP4"), ("4", "Uniform")]
    assert rows[0]["Register"] == rows[0]["Register by types"] == "float32"
    assert int(rows[1]["Register"]) <= int(rows[1]["Register by types"])
    for row in rows:
        top1, error = (float(part) for part in row["Top-1"].split(" ± "))
        assert error == pytest.approx((top1 * (100 - top1) / 8) ** 0.5, abs=0.005)
        assert "±" in row["KL"]
