"""The table of integer units: means, and differences from integer mode that are paired by image and by draw."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from torch.nn import functional as F

from analysis.integer_only.choices import CHOICES, Choice, choice
from analysis.integer_only.ladder import Ladder, against_control, within
from analysis.integer_only.point import Calibrated, UnitsPoint, UnitsPoints
from analysis.methods.entries import entry
from ptqsim import ptq

REFUSED = Choice("refused", "Refused", {"residual_bits": 4, "residual_scale": 1e-6})


def test_every_choice_has_options_of_its_own():
    assert len({choice.label for choice in CHOICES.values()}) == len(CHOICES)
    assert len({str(choice.key()) for choice in CHOICES.values()}) == len(CHOICES)


def test_cells_are_what_calibrate_and_evaluate_give(workload):
    table = Ladder(
        models=("vit_digits",), widths=(6,), method="percentile", seeds=(0, 1), images=12,
        choices=("alone.softmax", "all", "small"),
    )  # fmt: skip
    rows = table.compute(workload)["choices"]
    assert rows.column("choice") == ["integer", "alone.softmax", "all", "small"]
    found = {"integer": [], "all": [], "small": []}
    for seed in (0, 1):
        one = replace(workload, seed=seed)
        for name, options in (("all", {}), ("small", CHOICES["small"].options)):
            q = ptq.calibrate(
                one.network, one.calibration_images, method="percentile", w_bits=6, a_bits=6, seed=seed,
                integer_only=True, **options,
            )  # fmt: skip
            q.mode = "integer_only"
            found[name].append(ptq.evaluate(q, one.validation, limit=12))
        q.mode = "integer"
        found["integer"].append(ptq.evaluate(q, one.validation, limit=12))

    def losses(name):
        return np.stack([F.cross_entropy(e.logits.double(), e.labels, reduction="none") for e in found[name]])

    for name in found:
        (row,) = rows.where(choice=name).records()
        assert row["top1"] == pytest.approx(np.mean([one.top1 for one in found[name]]))
        assert row["cross_entropy"] == pytest.approx(losses(name).mean())
        difference = losses(name) - losses("integer")
        assert row["cross_entropy_difference"] == pytest.approx(difference.mean())
        error = difference.mean(axis=0).var(ddof=1) / 12 + difference.mean(axis=1).var(ddof=1) / 2
        assert row["cross_entropy_error"] == pytest.approx(np.sqrt(error))
    printed = table.printed({"choices": rows})
    assert [row[2] for row in printed.rows] == [CHOICES[name].label for name in rows.column("choice")]
    assert printed.rows[0][6:] == ("", "", "", "")
    assert "±" in printed.rows[2][7]


def test_points_are_kept_one_by_one_and_calibrated_once(workload, monkeypatch):
    chosen = UnitsPoints(entry("percentile"), 6, (choice("integer"), choice("all"), REFUSED), 4)
    calls = []
    calibrate = ptq.calibrate
    monkeypatch.setattr(ptq, "calibrate", lambda *args, **options: calls.append(1) or calibrate(*args, **options))
    data = chosen.data(workload)
    assert len(calls) == 1
    assert data["point"].column("choice") == ["integer", "all", "refused"]
    assert "give residual_bits=" in data["point"].column("refused")[2]
    assert len(data["images"]) == 8
    monkeypatch.setattr(UnitsPoint, "measured", None)
    assert chosen.data(workload) == data


def test_a_choice_that_a_network_refuses_has_no_numbers(workload):
    draws = [UnitsPoints(entry("percentile"), 6, (choice("integer"), REFUSED), 4).data(workload)]
    row = against_control(draws, "refused")
    assert (row["top1"], row["kl_difference"], row["images"]) == (None, None, 0)
    assert "was seen" in row["refused"]


def test_the_file_of_a_calibrated_network_serves_the_next_process(workload, monkeypatch):
    given = Calibrated(workload, entry("percentile"), 6)
    first = given.quantized(workload.calibration_images)
    monkeypatch.setattr(ptq, "calibrate", None)
    again = Calibrated(workload, entry("percentile"), 6).quantized(workload.calibration_images)
    assert again.equal(first)


@pytest.mark.parametrize(
    ("top1", "cross_entropy", "expected"),
    [(-0.3, 0.02, True), (1.0, -0.1, True), (-0.4, 0.0, False), (0.0, 0.021, False)],
)
def test_the_goal_is_of_top1_and_of_cross_entropy(top1, cross_entropy, expected):
    assert within({"top1_difference": top1, "cross_entropy_difference": cross_entropy}) is expected


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'ibert'"):
        Ladder(choices=("ibart",))
    with pytest.raises(ValueError, match="Did you mean 'ptq4vit'"):
        Ladder(method="ptq4vt")
