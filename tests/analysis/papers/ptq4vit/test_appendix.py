"""Appendix 6.4: hyper-parameters and draws, against calibrations that are asked for directly."""

from __future__ import annotations

import statistics

import pytest

from analysis.papers.ptq4vit import hyperparameters
from analysis.papers.ptq4vit.draws import Draws
from analysis.papers.ptq4vit.hyperparameters import Hyperparameters
from ptqsim import ptq

MODELS = ("vit_digits",)


def accuracy(workload, seed=0, bits=5, **options):
    images = ptq.sample_images(workload.calibration, workload.images, seed)
    quantized = ptq.calibrate(workload.network, images, w_bits=bits, a_bits=bits, seed=seed, **options)
    return ptq.evaluate(quantized, workload.validation, limit=12)


def test_hyperparameters(workload, monkeypatch):
    monkeypatch.setattr(hyperparameters, "_VALUES", {"n": (4, 9), "max_shift": (2,)})
    made = Hyperparameters(models=MODELS, bits=5, images=12)
    data = made.compute(workload)
    for row in data["points"].records():
        found = accuracy(workload, **{row["option"]: row["value"]})
        assert (row["top1"], row["cross_entropy"]) == (found.top1, found.cross_entropy)
    printed = made.printed(data)
    assert [row[1:3] for row in printed.rows] == [("n", "4"), ("n", "9"), ("largest m", "2")]


def test_draws(workload):
    made = Draws(models=MODELS, draws=2, bits=5, images=12)
    data = made.compute(workload)
    top1 = [accuracy(workload, seed).top1 for seed in range(2)]
    assert data["draws"].column("top1") == top1
    rows = {row[0]: row[1:] for row in made.printed(data).rows}
    assert rows["vit_digits"] == (f"{sum(top1) / 2:.2f}", f"{statistics.stdev(top1):.3f}", "", "")
    assert rows["DeiT-S/224"] == ("", "", "79.45", "0.094")


@pytest.mark.parametrize("made", [Hyperparameters(models=MODELS), Draws(models=MODELS, draws=4)])
def test_points_are_found_again(workload, made, monkeypatch):
    """The units of work that run side by side are those that the table asks the store for."""
    asked = []
    row = {"images": 1, "top1": 1.0, "cross_entropy": 1.0}
    monkeypatch.setattr(
        "analysis.framework.points.WorkPoint.row", lambda self, work: asked.append((work.seed, self.key(work))) or row
    )
    made.compute(workload)
    tasks = [(work.seed, point.key(work)) for work, point in made.tasks(workload)]
    assert all(one in tasks for one in asked)
    assert all(one in asked for one in tasks)
