"""Numbers at the limits of float32, and few, equal or constant images: calibrated properly, or refused by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ptqsim import ptq
from ptqsim.ptq.search import candidates as search_space
from tests.ptq.networks import vision_transformer

IMAGES = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
METHODS = ["percentile", "base_ptq", "bit_split", "liu2021", "ptq4vit"]


def network() -> nn.Module:
    torch.manual_seed(0)
    return vision_transformer(img_size=32, patch_size=8, embed_dim=32, depth=1, num_heads=2, num_classes=5)


def calibrated(model: nn.Module, images: torch.Tensor, method: str = "ptq4vit") -> ptq.QuantizedModel:
    options = {} if method == "percentile" else {"n": 6}
    return ptq.calibrate(model, images, method=method, **options)  # type: ignore[arg-type]


def error(q: ptq.QuantizedModel, images: torch.Tensor, mode: ptq.Mode = "fake_quant") -> float:
    q.mode = "float"
    exact = q(images)
    q.mode = mode
    return float((q(images) - exact).norm() / exact.norm())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("factor", [1e-30, 1e30])
def test_weights_of_any_size_are_calibrated(method: str, factor: float) -> None:
    """The first layer shrinks what the second enlarges: where float32 can run it, so can every mode."""
    model = network()
    with torch.no_grad():
        model.patch_embed.proj.weight.mul_(factor)  # type: ignore[union-attr, operator]
    images = IMAGES / factor
    q = calibrated(model, images, method)
    assert error(q, images) < 0.1
    assert error(q, images, "integer") < 0.1


@pytest.mark.parametrize("method", METHODS)
def test_a_tensor_below_what_a_scale_can_be_counts_as_zero(method: str) -> None:
    model = network()
    with torch.no_grad():
        model.blocks[0].mlp.fc1.weight.mul_(1e-41)
    assert 0 < float(model.blocks[0].mlp.fc1.weight.detach().abs().max()) < np.finfo(np.float32).tiny
    assert error(calibrated(model, IMAGES, method), IMAGES) < 0.1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["constant", "zero", "one", "the same"])
def test_images_that_say_little(method: str, kind: str) -> None:
    images = {
        "constant": torch.ones_like(IMAGES),
        "zero": torch.zeros_like(IMAGES),
        "one": IMAGES[:1],
        "the same": IMAGES[:1].expand(4, -1, -1, -1).clone(),
    }[kind]
    q = calibrated(network(), images, method)
    assert error(q, images) < 0.1
    assert all(np.isfinite(op.report["score"]) for op in q.layers.values())  # type: ignore[call-overload]


def test_a_head_of_zeros_has_the_scales_of_its_maxima() -> None:
    model = network()
    nn.init.zeros_(model.head.weight)
    q = calibrated(model, IMAGES)
    formats = q.layers["head"].formats
    assert formats is not None
    assert [f.scale for f in formats.b] == [2.0**-7]  # a group of zeros has the maximum 1
    assert {tie["decided_by"] for tie in q.layers["head"].report["ties"]} == {"own_error", "maximum"}  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["blocks.0.mlp.fc1.weight", "blocks.0.attn.qkv.bias", "norm.weight", "pos_embed"])
@pytest.mark.parametrize("method", ["ptq4vit", "easyquant"])
def test_a_parameter_that_is_not_finite_is_named(name: str, value: float, method: str) -> None:
    model = network()
    with torch.no_grad():
        model.get_parameter(name).view(-1)[0] = value
    with pytest.raises(
        ValueError, match=rf"^1 of \d+ values of parameter '{name}' of the model are NaN or .* is {value} at"
    ):
        calibrated(model, IMAGES, method)


@pytest.mark.parametrize("method", ["ptq4vit", "easyquant"])
def test_the_first_layer_that_leaves_float32_is_named(method: str) -> None:
    model = network()
    with torch.no_grad():
        model.patch_embed.proj.weight.mul_(1e38)  # type: ignore[union-attr, operator]
    with pytest.raises(
        ValueError, match=r"the output of layer 'patch_embed\.proj' is beyond float32: its input reaches"
    ):
        calibrated(model, IMAGES * 1e3, method)
    model = network()
    with torch.no_grad():
        model.blocks[0].norm1.weight.mul_(3e38)
    with pytest.raises(ValueError, match=r"the \w+ of layer 'blocks\.0\.attn\.qkv'"):
        calibrated(model, IMAGES, method)


def test_no_images_are_refused() -> None:
    with pytest.raises(ValueError, match="N of at least 1"):
        calibrated(network(), IMAGES[:0])


@pytest.mark.parametrize("bits", [2, 8, 16])
def test_scales_stay_in_float32(bits: int) -> None:
    tops = [1e-45, 1e-38, 1.0, 3.4e38]
    scales = [f.scale for row in search_space.uniform(tops, bits, [0.012, 1.2]).formats for f in row]
    assert min(scales) >= np.finfo(np.float32).tiny
    assert max(scales) < np.finfo(np.float32).max
