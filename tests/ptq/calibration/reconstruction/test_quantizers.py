"""Quantizers with a gradient beside fake quantization, and their gradients beside differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import ptqsim as pq
from ptqsim.ptq.calibration.reconstruction.learned import mixed
from ptqsim.ptq.calibration.reconstruction.quantizers import Activation, Weight
from ptqsim.ptq.network.products.fake_quant import Format, decode_codes, fake_quantize

CPU = torch.device("cpu")


def values(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


ACTIVATIONS: dict[str, list[Format]] = {
    "uniform": [pq.Uniform(bits=4, scale=0.3)],
    "per group": [pq.Uniform(bits=4, scale=0.3), pq.Uniform(bits=4, scale=0.1)],
    "unsigned": [pq.Uniform(bits=4, scale=0.25, signed=False, zero_point=5)],
    "after GELU": [pq.TwinGELU(bits=4, scale=0.02, shift=4)],
    "after softmax": [pq.TwinSoftmax(bits=4, shift=5)],
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_begin_as_fake_quantization(name: str) -> None:
    formats = ACTIVATIONS[name]
    x = values(len(formats), 3, 50)
    x = x.softmax(dim=-1) if name == "after softmax" else x
    quantizer = Activation(formats, CPU)
    assert torch.allclose(quantizer(x), fake_quantize(x, formats), rtol=1e-6, atol=1e-7)
    assert quantizer.found() == tuple(formats)


@pytest.mark.parametrize("name", ["uniform", "per group", "unsigned", "after GELU"])
def test_learned_scales_are_those_of_the_formats(name: str) -> None:
    formats = ACTIVATIONS[name]
    quantizer = Activation(formats, CPU)
    with torch.no_grad():
        quantizer.log_ratio.copy_(torch.linspace(0.3, -0.2, len(formats)))
    found = quantizer.found()
    expected = [fmt.scale * np.exp(r) for fmt, r in zip(formats, quantizer.log_ratio.tolist(), strict=True)]
    assert [fmt.scale for fmt in found] == pytest.approx(expected)
    x = values(len(formats), 3, 50, seed=1)
    assert torch.allclose(quantizer(x), fake_quantize(x, found), rtol=1e-5, atol=1e-6)


def test_the_scale_after_softmax_is_no_choice() -> None:
    quantizer = Activation([pq.TwinSoftmax(bits=4, shift=5)], CPU)
    assert not quantizer.log_ratio.requires_grad
    x = values(1, 4, 8).softmax(dim=-1).requires_grad_(True)
    quantizer(x).sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))  # type: ignore[arg-type]


def test_gradient_of_a_scale() -> None:
    """LSQ Eq. 3, times the scale: round(x/s) - x/s within the range, the limits outside of it."""
    scale, x = 0.5, torch.tensor([[0.3, -0.9, 2.2, 100.0, -100.0]])
    quantizer = Activation([pq.Uniform(bits=3, scale=scale)], CPU)
    quantizer(x).sum().backward()
    expected = scale * sum([1 - 0.6, -2 + 1.8, 3.0, 3.0, -4.0])  # 2.2 / 0.5 is beyond 3
    assert float(quantizer.log_ratio.grad) == pytest.approx(expected)  # type: ignore[arg-type]


def test_gradient_of_an_activation_ends_where_it_is_clipped() -> None:
    x = torch.tensor([[0.3, -0.9, 2.2]], requires_grad=True)
    Activation([pq.Uniform(bits=3, scale=0.5)], CPU)(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[1.0, 1.0, 0.0]]


@pytest.mark.parametrize("axis", [None, -1])
@pytest.mark.parametrize("bits", [2, 4])
def test_weights_begin_in_float_and_end_as_codes(axis: int | None, bits: int) -> None:
    w = values(2, 6, 3) * 0.2
    scale = 0.1 if axis is None else np.array([0.1, 0.05, 0.2])
    formats = [pq.Uniform(bits=bits, scale=scale, axis=axis)] * 2
    weight = Weight(w, formats)
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    steps = torch.tensor(scale, dtype=torch.float32)
    # soft rounding begins with the weight itself
    assert torch.allclose(weight(), (w / steps).clamp(low, high) * steps, atol=2e-6)
    with torch.no_grad():
        weight.v.copy_(values(2, 6, 3, seed=2) * 5)
        weight.log_ratio.add_(0.1)
    found, codes = weight.found()
    expected = ((w / steps).floor() + (weight.v >= 0)).clamp(low, high)
    aligned = torch.stack([torch.from_numpy(one.aligned()) for one in codes])
    assert torch.equal(aligned, expected.to(aligned.dtype))
    assert all(np.allclose(one.scale, np.asarray(scale) * np.exp(0.1)) for one in found)
    with torch.no_grad():
        weight.v.copy_(torch.where(weight.v >= 0, 50.0, -50.0))
    assert float(weight.undecided(2.0).detach()) == pytest.approx(0, abs=1e-6)
    assert torch.allclose(weight(), decode_codes(codes, w), rtol=1e-5, atol=1e-7)


def test_what_is_undecided() -> None:
    weight = Weight(torch.tensor([[[0.5], [0.25], [1.0]]]), [pq.Uniform(bits=4, scale=1.0)])
    # 1 - |2 h - 1|**beta (AdaRound Eq. 24) with h = 0.5, 0.25 and 0
    for beta in (2.0, 20.0):
        expected = (1 + (1 - 0.5**beta) + 0) / 3
        assert float(weight.undecided(beta).detach()) == pytest.approx(expected, abs=1e-5)


def test_a_share_of_elements_is_replaced() -> None:
    generator = torch.Generator().manual_seed(3)
    x, other = torch.zeros(101, 97), torch.ones(101, 97)
    for share in (0.25, 0.5, 0.75):
        found = mixed(x, other, share, generator)
        assert set(found.unique().tolist()) == {0.0, 1.0}
        assert float(found.mean()) == pytest.approx(share, abs=0.02)
    assert not torch.equal(mixed(x, other, 0.5, generator), mixed(x, other, 0.5, generator))
