"""Types, layouts and values of images and parameters: they change no bit of a result, or are refused by name."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ptqsim import ptq

QUICK: dict[str, Any] = {"method": "percentile", "w_bits": 6, "a_bits": 6}


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)])
def test_the_modes_of_torch_change_no_bit(
    mode: Callable[[], AbstractContextManager[None]],
    model: nn.Module,
    images: torch.Tensor,
    quantized: ptq.QuantizedModel,
) -> None:
    expected = quantized(images)
    with mode():
        q = ptq.calibrate(
            model, images.clone(), method="ptq4vit", w_bits=6, a_bits=6, n=12
        )  # in inference mode, tensors of it
        got = q(images)
    assert got.dtype == torch.float32
    assert torch.equal(got, expected)
    assert {name: op.formats for name, op in q.layers.items()} == {n: op.formats for n, op in quantized.layers.items()}


@pytest.mark.parametrize("kind", ["channels_last", "not contiguous", "with gradient", "made in inference mode"])
def test_the_layout_of_images_changes_no_format(
    kind: str, model: nn.Module, images: torch.Tensor, quantized: ptq.QuantizedModel
) -> None:
    if kind == "channels_last":
        images = images.to(memory_format=torch.channels_last)
    elif kind == "not contiguous":
        images = images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    elif kind == "with gradient":
        images = images.clone().requires_grad_(True)
    else:
        with torch.inference_mode():
            images = images.clone()
    q = ptq.calibrate(model, images, method="ptq4vit", w_bits=6, a_bits=6, n=12)
    assert {name: op.formats for name, op in q.layers.items()} == {n: op.formats for n, op in quantized.layers.items()}


def test_float64_is_calibrated_in_float64(own: Any, images: torch.Tensor) -> None:
    q = ptq.calibrate(own.double(), images.double(), **QUICK)
    q.mode = "float"
    assert torch.equal(q(images.double()), own(images.double()))
    with pytest.raises(ValueError, match=r"images are torch\.float32, and the model's parameters torch\.float64"):
        q(images)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (
            torch.zeros(2, 3, 32, 32, dtype=torch.bfloat16),
            r"images are torch\.bfloat16, and the model's .*try images\.to",
        ),
        (
            torch.zeros(2, 3, 32, 32, dtype=torch.float64),
            r"images are torch\.float64, and the model's .*try images\.to",
        ),
        (torch.zeros(2, 1, 32, 32), "images have 1 channels, and the model takes 3"),
        (torch.zeros(2, 3, 48, 48), r"can't be run on images \(2, 3, 48, 48\) .*should be \[N, 3, 32, 32\]"),
        (torch.zeros(0, 3, 32, 32), r"N of at least 1"),
        (torch.full((2, 3, 32, 32), torch.nan), "2 of 2 images hold NaN"),
    ],
)
def test_images_that_the_network_does_not_take(images: torch.Tensor, words: str, model: nn.Module) -> None:
    for run in (ptq.calibrate, ptq.capture):
        with pytest.raises(ValueError, match=words) as told:
            run(model, images)
        assert "\n" not in str(told.value)
        with pytest.raises(TypeError, match=r"tensor of torch\.uint8; legal is a float tensor"):
            run(model, torch.zeros(2, 3, 32, 32, dtype=torch.uint8))


def test_networks_of_other_types_are_refused(model: nn.Module, images: torch.Tensor) -> None:
    for dtype in (torch.float16, torch.bfloat16):
        with pytest.raises(
            ValueError, match=rf"parameter 'cls_token' of the model is {dtype}; legal .*try model\.float"
        ):
            ptq.calibrate(copy.deepcopy(model).to(dtype), images.to(dtype), **QUICK)
    with pytest.raises(ValueError, match="parameter 'cls_token' of the model is on the meta device"):
        ptq.calibrate(copy.deepcopy(model).to("meta"), images, **QUICK)
    with pytest.raises(ValueError, match=r"compiled by torch\.compile, .*model\._orig_mod"):
        ptq.calibrate(torch.compile(copy.deepcopy(model)), images, **QUICK)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"\(Flatten\) has no parameters"):
        ptq.calibrate(nn.Flatten(), images, **QUICK)
    q = ptq.QuantizedModel(model)
    with pytest.raises(TypeError, match="the model is a QuantizedModel; legal is the float network"):
        ptq.calibrate(q, images, **QUICK)
    with pytest.raises(
        TypeError, match=r"legal is the float network, and layer 'patch_embed\.proj' of this one is quant"
    ):
        ptq.QuantizedModel(q.model)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("operand", ["weight", "bias"])
def test_parameters_that_are_not_finite_are_named(value: float, operand: str, own: Any, images: torch.Tensor) -> None:
    tensor = getattr(own.blocks[1].mlp.fc1, operand)
    with torch.no_grad():
        tensor[3] = value
    count = 32 if operand == "weight" else 1
    words = (
        rf"{count} of {tensor.numel()} values of parameter 'blocks\.1\.mlp\.fc1\.{operand}' of the model are NaN or .*"
    )
    with pytest.raises(ValueError, match=words + rf"the first is {value} at index \(3,"):
        ptq.calibrate(own, images, **QUICK)


def test_activations_that_are_not_finite_are_named(own: Any, images: torch.Tensor) -> None:
    with torch.no_grad():
        own.blocks[1].mlp.fc1.weight.fill_(3e38)
    with pytest.raises(
        ValueError, match=r"the output of layer 'blocks\.1\.mlp\.fc1' is beyond float32: .* its weight 3e\+38;"
    ):
        ptq.calibrate(own, images, **QUICK)


def test_a_weight_of_zeros_is_exact_in_any_scale(own: Any, images: torch.Tensor) -> None:
    with torch.no_grad():
        own.blocks[1].mlp.fc1.weight.zero_()
    q = ptq.calibrate(own, images, **QUICK)
    assert all(not codes.real().any() for codes in q.layers["blocks.1.mlp.fc1"].weight_codes or ())
    assert torch.isfinite(q(images)).all()
