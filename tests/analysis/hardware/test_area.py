"""Areas against the table of counts, and accuracy against a network run by hand."""

from __future__ import annotations

import csv
from importlib.resources import files

import numpy as np
import pytest

import ptqsim as pq
from analysis.framework.store import ArtifactStore
from analysis.framework.workload import Setting, Workload
from analysis.hardware.area import Area
from analysis.hardware.area_accuracy import UNITS, AreaAccuracy
from ptqsim import ptq
from ptqsim.ptq.network.products.operations import OperandFormats

SMALL = AreaAccuracy(code_bits=(6,), trees=(4,), widths=(20, 16, 12), images=6, floor=-1.0)


@pytest.fixture(scope="module")
def data(tiny_model, tmp_path_factory):
    """The data that `SMALL` finds with a network of its own."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch, Workload(store=ArtifactStore(folder), images=4) as made:
        patch.setattr(ptq, "load_model", lambda name, **options: tiny_model)
        return SMALL.compute(made)


@pytest.fixture(scope="module")
def counts():
    with (files("ptqsim.rtl.synthesis") / "gates.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def counted(counts, **cells):
    """Transistors of the one row of the table with these cells."""
    cells = {"multiplier": "baugh_wooley", "order": "sequential", **cells}
    found = {int(row["transistors"]) for row in counts if all(row[name] == str(cells[name]) for name in cells)}
    assert len(found) == 1, cells
    return found.pop()


def test_lines_are_those_of_the_table(workload, counts):
    area = Area().compute(workload)["area"]
    assert {(row["varied"], row["design"]) for row in area.records()} == {
        (axis, design) for axis in ("bits", "shift", "acc_bits") for design in Area().designs
    }
    for row in area.records():
        shift = {} if row["shift"] is None else {"shift": row["shift"]}
        cells = {name: row[name] for name in ("design", "bits", "acc_bits", "overflow")}
        assert row["per_mac"] == row["transistors"] == counted(counts, **cells, **shift)


def test_printed_relations_are_of_the_center(workload, counts):
    printed = Area().printed(Area().compute(workload))
    center = {"bits": 8, "acc_bits": 24, "overflow": "wrap"}
    uniform, deferred = (
        counted(counts, design="uniform", **center),
        counted(counts, design="gelu_deferred", shift=4, **center),
    )
    rows = {row[0]: row for row in printed.rows}
    assert rows["GELU, deferred"][3] == f"{deferred / uniform - 1:+.1%}"
    assert rows["Twin (GELU)"][3].startswith("not resolved")
    assert rows["PWLQ, rescaled"][1] == "9"
    assert "12.5% more" in printed.notes[1]


def by_hand(workload, operand, shift, accumulator):
    """Top-1 and cross-entropy with the registers of one kind of operation, all else exact."""
    network = workload.quantized(Setting("ptq4vit", 8, 8))
    network.mode, network.accumulator = "integer", pq.Accumulator(48)
    for name, layer in network.layers.items():
        if layer.a_kind != operand:
            continue
        made = pq.TwinSoftmax if operand == "softmax" else pq.TwinGELU
        scales = [{} if operand == "softmax" else {"scale": fmt.scale} for fmt in layer.formats.a]
        layer.formats = OperandFormats(tuple(made(8, shift, **scale) for scale in scales), layer.formats.b)
        network.accumulators[name] = accumulator
    found = ptq.evaluate(network, workload.validation, limit=SMALL.images)
    return found.top1, found.cross_entropy


def test_accuracy_and_gates_of_a_point(data, workload, counts):
    points = data["points"]
    assert {(row["row"], row["operand"]) for row in points.records()} == {
        (row, operand) for row in ("format", "datapath") for operand in ("softmax", "gelu")
    }
    wanted = {
        ("wired", "wrap", "sequential"): pq.Accumulator(12),
        ("operand", "saturate", "sequential"): pq.Accumulator(12, "saturate", alignment="operand"),
        ("deferred", "saturate", "sequential"): pq.Accumulator(12, "saturate", alignment="deferred"),
        ("wired", "saturate", "tree:4"): pq.Accumulator(12, "saturate", pq.Tree(4)),
    }
    for operand in ("softmax", "gelu"):
        for (unit, overflow, order), accumulator in wanted.items():
            about = {"unit": unit, "overflow": overflow, "order": order, "acc_bits": 12}
            (row,) = points.where(row="datapath", operand=operand, **about).records()
            assert (row["top1"], row["cross_entropy"]) == by_hand(workload, operand, SMALL.shift, accumulator)
            design = operand + ("" if unit == "wired" else f"_{unit}")
            cells = {"design": design, "bits": 8, "shift": 4, "acc_bits": 12, "overflow": overflow, "order": order}
            assert row["per_mac"] == counted(counts, **cells) / (4 if order == "tree:4" else 1)
            assert row["transistors"] == counted(counts, **cells)


def test_the_front_is_what_none_is_better_than(data):
    """From the other side: walked from the smallest unit to the largest, accuracy has to rise."""
    points = data["points"]
    for row in ("format", "datapath"):
        for operand in ("softmax", "gelu"):
            shown = points.where(row=row, operand=operand)
            x, y = shown.values("per_mac"), shown.values("top1")
            best = -np.inf
            front = np.zeros(len(x), bool)
            for size in np.unique(x):
                here = y[x == size].max()
                if here > best:
                    best = here
                    front |= (x == size) & (y == here)
            assert front.tolist() == shown.column("front")


def test_printed_width_keeps_the_accuracy(data):
    printed = SMALL.printed(data)
    assert printed.rows
    for row in printed.rows:
        unit = {name: unit for unit, name in UNITS.items()}[row[1]]
        about = {"operand": row[0].split("-")[1].lower(), "unit": unit, "bits": int(row[2]), "overflow": row[3]}
        shown = data["points"].where(order=row[4], **about).records()
        for one in shown:
            if one["acc_bits"] >= int(row[5]):
                assert one["top1"] >= 0.99 * one["exact"]


def test_a_shift_that_the_circuit_has_not_is_refused(workload):
    with pytest.raises(ValueError, match=r"try -O greatest_shift=\d"):
        AreaAccuracy(code_bits=(6,), greatest_shift=0, images=2).compute(workload)
