"""Tables of the papers: ours is measured, theirs is printed, and neither stands in for the other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from analysis.framework.points import WorkPoint
from analysis.framework.registry import TABLES, artifact
from analysis.papers.published import published
from ptqsim import ptq

PAPER = [name for name in TABLES if name.startswith(("ptq4vit.table", "liu2021.table"))]


@pytest.fixture
def unmeasured(monkeypatch):
    """Every point answers 1 at once."""

    class Ones(dict):
        def __missing__(self, key):
            return 1.0

    monkeypatch.setattr(WorkPoint, "row", lambda self, workload: Ones())


@pytest.mark.parametrize("name", PAPER)
def test_ours_and_theirs_never_mix(workload, unmeasured, name):
    made = replace(artifact(name), models=("vit_digits",))
    data = made.compute(workload)
    cells, labels = data["cells"], made.theirs.labels
    theirs = published(name)
    for row in cells.records():
        key = tuple(row[label] for label in labels)
        assert (row["ours"] is None) == (row["Model"] != "vit_digits")
        assert row["paper"] == (theirs.value(key, row["column"]) if row["Model"] != "vit_digits" else None)
    printed = made.printed(data)
    assert len(printed.rows) == len({tuple(row[label] for label in labels) for row in cells.records()})
    assert "vit_digits" in printed.notes[0]
    assert theirs.table in printed.notes[1]
    assert all(len(row) == len(printed.columns) for row in printed.rows)
    assert printed.latex().count(r"\midrule") == 1
    assert printed.latex().isascii()  # every sign is one that LaTeX knows


@pytest.mark.parametrize("name", PAPER)
def test_a_model_of_the_paper_meets_its_row(workload, unmeasured, name):
    made = artifact(name)
    short = next(short for short, paper in made.names.items() if any(row[0] == paper for row in made.theirs.rows))
    options = {"dataset": "ImageNet"} if name == "liu2021.table1" else {}
    made = replace(made, models=(short,), **options)
    cells = made.compute(workload)["cells"]
    shown = [row for row in cells.records() if row["Model"] == made.names[short] and row["ours"] is not None]
    assert any(row["paper"] is not None for row in shown)
    assert all(row["paper"] is None or row["paper"] != row["ours"] for row in shown)


def test_table_1_is_what_calibrate_and_evaluate_give(workload):
    made = replace(artifact("ptq4vit.table1"), models=("vit_digits",), images=12)
    cells = made.compute(workload)["cells"].where(Model="vit_digits")
    found = ptq.evaluate(workload.network, workload.validation, limit=12)
    assert cells.where(column="FP32").column("ours") == [found.top1]
    quantized = ptq.calibrate(workload.network, workload.calibration_images, method="base_ptq", w_bits=6, a_bits=6)
    found = ptq.evaluate(quantized, workload.validation, limit=12)
    assert cells.where(column="Base PTQ W6A6").column("ours") == [found.top1]


@pytest.mark.parametrize("name", PAPER)
def test_time_is_not_taken_beside_other_work(workload, name):
    made = replace(artifact(name), models=("vit_digits",))
    kinds = {point.kind for _, point in made.tasks(workload)}
    assert kinds == {"method_point"}
