"""Units against the table of counts, shares against sums of it."""

from __future__ import annotations

import csv
from importlib.resources import files

import pytest

from analysis.hardware.unit_accuracy import UnitAccuracy

SMALL = UnitAccuracy(widths=(6, 4), columns=(16, 64), method="percentile", images=4)


@pytest.fixture(scope="module")
def counts():
    found = {}
    for table in ("gates.csv", "gates.units.csv"):
        with (files("ptqsim.rtl.synthesis") / table).open(encoding="utf-8") as file:
            found[table] = list(csv.DictReader(file))
    return found


def unit(counts, name, formulation, bits):
    """Transistors of the first row of that unit, which has all defaults."""
    rows = (row for row in counts["gates.units.csv"] if (row["unit"], row["formulation"]) == (name, formulation))
    default = {"lanes": "1", "reciprocal": "0", "residual_bits": "16", "precision": "16", "entries": "64"}
    return next(int(row["transistors"]) for row in rows if row["bits"] == str(bits) and default.items() <= row.items())


def test_points_are_counts_beside_the_ladders_divergence(workload, counts):
    data = SMALL.compute(workload)
    found = {(row["unit"], row["formulation"], row["bits"]): row for row in data["units"].records()}
    assert ("gelu", "shift_gelu", 4) not in found  # it takes no pre-activation of 4 bits
    assert {key[:2] for key in found} >= {
        ("softmax", "ita"),
        ("softmax", "table"),
        ("gelu", "table"),
        ("gelu", "i_gelu"),
    }
    for (name, formulation, bits), row in found.items():
        assert row["transistors"] == unit(counts, name, formulation, bits)
    for bits in SMALL.widths:
        points = {row["choice"]: row for row in SMALL._points(bits).data(workload)["point"].records()}
        assert found["softmax", "table", bits]["kl"] == found["gelu", "table", bits]["kl"] == points["all"]["kl"]
        assert found["softmax", "ita", bits]["kl"] == points["softmax.ita"]["kl"]
        assert found["softmax", "ita", bits]["integer_kl"] == points["integer"]["kl"]
    assert len(SMALL.printed(data).rows) == len(found)


def test_the_share_is_that_of_units_beside_multipliers(workload, counts):
    for row in SMALL.compute(workload)["shares"].records():
        bits = row["bits"]
        about = {"design": "gelu_runtime", "bits": str(bits), "shift": "8", "acc_bits": "24", "overflow": "saturate"}
        element = {
            int(one["transistors"])
            for one in counts["gates.csv"]
            if about.items() <= one.items() and one["multiplier"] == "baugh_wooley" and one["order"] == "sequential"
        }
        nonlinear = unit(counts, "softmax", "table", bits) + unit(counts, "gelu", "table", bits)
        nonlinear += 2 * unit(counts, "layernorm", "newton", bits)
        other = 4 * unit(counts, "rescale", "tensor", bits) + 2 * unit(counts, "residual", "tensor", 8)
        (each,) = element
        assert row["share"] == pytest.approx(100 * nonlinear / (nonlinear + other + row["columns"] * each))


def test_widths_that_cannot_be_drawn_are_refused():
    with pytest.raises(ValueError, match="legal are 1 to 3"):
        UnitAccuracy(widths=(2, 3, 4, 5))
