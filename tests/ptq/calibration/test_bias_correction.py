"""Bias correction: the expectations of Liu et al. Eq. 13 to 15, and what a network gains by them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ptqsim import ptq
from tests.ptq.networks import vision_transformer


@pytest.mark.parametrize("method", ["ptq4vit", "liu2021", "bit_split", "percentile"])
def test_the_mean_of_every_output_unit_is_preserved(model: nn.Module, images: torch.Tensor, method: str) -> None:
    n = {} if method == "percentile" else {"n": 8}
    q = ptq.calibrate(model, images, method=method, w_bits=3, a_bits=3, bias_correction=True, paradigm="parallel", **n)
    with ptq.capture(model, images, gradient=None) as captured:
        for name in ("patch_embed.proj", "blocks.0.attn.qkv", "blocks.1.mlp.fc2"):
            op, data = q.layers[name], captured[name]
            exact = model.get_submodule(name).bias.detach().double() + _rows(data.out)  # type: ignore[operator, union-attr]
            op.mode = "fake_quant"
            found = _rows(op.product(data.a, data.b)) + op.corrected_bias.double()  # type: ignore[operator, union-attr]
            scale = float(exact.std())
            np.testing.assert_allclose(found.mean(0).detach(), exact.mean(0).detach(), atol=1e-5 * scale)


def test_the_correction_is_the_sum_of_eq_15(model: nn.Module, images: torch.Tensor) -> None:
    """E[eW X] + E[eX W] + E[eX eW], each expectation taken on its own, in float64."""
    q = ptq.calibrate(model, images, method="ptq4vit", w_bits=4, a_bits=4, bias_correction=True, n=8)
    name = "blocks.1.mlp.fc1"
    op = q.layers[name]
    assert op.formats is not None
    with ptq.capture(model, images, gradient=None) as captured:
        x, w = captured[name].a[0].double().numpy(), captured[name].b[0].double().numpy()
    fx, fw = op.formats.a[0], op.formats.b[0]
    error_x = fx.decode(fx.encode(x.astype(np.float32))) - x  # Eq. 13
    error_w = fw.decode(fw.encode(w.astype(np.float32))) - w  # Eq. 14
    expected = (x @ error_w).mean(0) + (error_x @ w).mean(0) + (error_x @ error_w).mean(0)
    bias = model.get_submodule(name).bias.detach().double().numpy()  # type: ignore[operator, union-attr]
    np.testing.assert_allclose(bias - op.corrected_bias.double().numpy(), expected, atol=1e-5)  # type: ignore[operator, union-attr]


def test_float_mode_and_attention_products_know_no_correction(model: nn.Module, images: torch.Tensor) -> None:
    plain = ptq.calibrate(model, images, method="percentile", w_bits=3, a_bits=3)
    corrected = ptq.calibrate(model, images, method="percentile", w_bits=3, a_bits=3, bias_correction=True)
    assert not hasattr(corrected.layers["blocks.0.attn.matmul_qk"], "corrected_bias")
    assert not torch.equal(plain(images), corrected(images))
    plain.mode = corrected.mode = "float"
    assert torch.equal(plain(images), corrected(images))


def test_a_layer_without_bias_gets_one(images: torch.Tensor) -> None:
    torch.manual_seed(0)
    model = vision_transformer(
        img_size=32, patch_size=8, num_classes=10, embed_dim=32, depth=1, num_heads=2, qkv_bias=False
    )
    q = ptq.calibrate(model, images, method="percentile", w_bits=3, a_bits=3, bias_correction=True)
    bias = q.layers["blocks.0.attn.qkv"].corrected_bias
    assert isinstance(bias, torch.Tensor)
    assert bias.shape == (96,)
    assert bool(bias.abs().max() > 0)
    q.mode = "integer"
    q(images[:1])


def _rows(out: torch.Tensor) -> torch.Tensor:
    """[G, rows, N / G] -> [rows, N], as the operation joins its groups."""
    return out.detach().transpose(0, 1).flatten(1).double()
