"""The preset: what is kept lowers the held-out loss, and nothing but calibration images is looked at."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ptqsim import ptq
from ptqsim.ptq.calibration.methods.ptq4vit_plus import ADDITIONS

FEW = {"n": 5, "rounds": 1, "epochs": 2}


@pytest.fixture(scope="module")
def plus(model: nn.Module, images: torch.Tensor) -> ptq.QuantizedModel:
    return ptq.calibrate(model, images, method="ptq4vit_plus", w_bits=4, a_bits=4, **FEW)  # type: ignore[arg-type]


def test_what_lowers_the_loss_is_kept_and_nothing_else(plus: ptq.QuantizedModel) -> None:
    trail = plus.info["selection"]
    assert [step["added"] for step in trail] == [{}, *ADDITIONS]
    best = trail[0]["divergence"]
    for step in trail[1:]:
        assert step["kept"] == (step["divergence"] < best)
        best = min(best, step["divergence"])
        for name, value in step["added"].items():
            assert (plus.info["options"][name] == value) == step["kept"]


def test_the_result_is_the_chosen_method_s(plus: ptq.QuantizedModel, model: nn.Module, images: torch.Tensor) -> None:
    alone = ptq.calibrate(model, images, method="ptq4vit", w_bits=4, a_bits=4, **plus.info["options"])
    assert torch.equal(alone(images), plus(images))


def test_the_held_out_loss_is_that_of_two_calibrations(model: nn.Module, images: torch.Tensor) -> None:
    """The first entry of the trail, by hand: each half quantized on the other, soft labels of the float network."""
    plus = ptq.calibrate(model, images, method="ptq4vit_plus", w_bits=3, a_bits=3, **FEW)  # type: ignore[arg-type]
    from scipy.stats import entropy

    total = 0.0
    for fold in (0, 1):
        held_out = images[fold::2]
        q = ptq.calibrate(model, images[1 - fold :: 2], w_bits=3, a_bits=3, **FEW)  # type: ignore[arg-type]
        found = q(held_out).double()
        q.mode = "float"
        total += float(entropy(q(held_out).double().softmax(1), found.softmax(1), axis=1).sum())
    assert plus.info["selection"][0]["divergence"] == pytest.approx(total / len(images), rel=1e-5)


def test_what_is_already_set_is_not_tried(model: nn.Module, images: torch.Tensor) -> None:
    q = ptq.calibrate(
        model,
        images[:4],
        method="ptq4vit_plus",
        w_bits=4,
        a_bits=4,
        range_choice="nearest",
        paradigm="sequential",
        **FEW,
    )  # type: ignore[arg-type]
    tried = [step["added"] for step in q.info["selection"]]
    assert {"range_choice": "nearest"} not in tried
    assert q.info["options"]["range_choice"] == "nearest"
    assert {"paradigm": "sequential"} not in tried


def test_one_image_is_too_few(model: nn.Module, images: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="better 32"):
        ptq.calibrate(model, images[:1], method="ptq4vit_plus")
