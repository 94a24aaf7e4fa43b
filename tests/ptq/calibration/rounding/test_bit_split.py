"""Bit splitting and stitching against exhaustive search, and what a layer gains by it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

import ptqsim as pq
from ptqsim import ptq
from ptqsim.ptq.calibration.layer import calibrate_layer
from ptqsim.ptq.calibration.methods import make_method
from ptqsim.ptq.calibration.operand_rules import Granularity, OperandRules
from ptqsim.ptq.calibration.rounding.bit_split import bit_split, reconstruction, split_digits, stitch
from ptqsim.ptq.network.convolutions.operation import ConvOperation
from ptqsim.ptq.search.capture import OperationData


def problem(seed: int, rows: int = 30, depth: int = 4, columns: int = 1):  # type: ignore[no-untyped-def]
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(depth, depth, generator=generator)
    a = torch.randn(rows, depth, generator=generator) @ mixing  # correlated inputs: rounding to the nearest is not best
    weight = torch.randn(depth, columns, generator=generator)
    return a, weight


@pytest.mark.parametrize("bits", [2, 3, 5, 8])
def test_digits_are_ternary_and_stitch_to_the_codes(bits: int) -> None:
    top = 2 ** (bits - 1) - 1
    codes = torch.arange(-top, top + 1, dtype=torch.float64)
    digits = split_digits(codes, bits)
    assert set(digits.unique().tolist()) == {-1.0, 0.0, 1.0}
    assert len(digits) == bits - 1
    assert torch.equal(stitch(digits), codes)


def test_the_quadratic_is_the_reconstruction_error() -> None:
    a, weight = problem(0, columns=3)
    codes = torch.randint(-3, 4, weight.shape, generator=torch.Generator().manual_seed(2)).double()
    made = reconstruction(a, a @ weight, weight, 0.1)
    x, w, o, q = a.double().numpy(), weight.double().numpy(), (a @ weight).double().numpy(), codes.numpy()
    ridge = 0.1 * np.diag(x.T @ x).mean()

    def error(scale: float) -> float:
        return float(((o - scale * x @ q) ** 2).sum() + ridge * ((w - scale * q) ** 2).sum())

    constant = error(0.0)
    for scale in (0.1, 0.4):
        assert made.loss(codes, scale) + constant == pytest.approx(error(scale), rel=1e-9)
    best = made.best_scale(codes)
    assert error(best) <= min(error(best * 0.999), error(best * 1.001))


@pytest.mark.parametrize("bits", [2, 3])
def test_against_exhaustive_search(bits: int) -> None:
    """A descent by coordinates: between rounding and the best codes at any scale, and much nearer to these."""
    top = 2 ** (bits - 1) - 1
    everything = torch.tensor(list(itertools.product(range(-top, top + 1), repeat=4)), dtype=torch.float64)
    excess = {"nearest": 0.0, "bit_split": 0.0}
    for seed in range(20):
        a, weight = problem(seed)
        made = reconstruction(a, a @ weight, weight, 0.0)
        scale = float(torch.tensor(float(weight.abs().max()) / top, dtype=torch.float32))
        nearest = (weight.double() / scale).round()
        found, found_scale = bit_split(made, nearest, scale, bits, 50)
        best = min(made.loss(q[:, None], made.best_scale(q[:, None])) for q in everything)
        loss = made.loss(found, found_scale)
        assert found.abs().max() <= top
        assert best - 1e-9 <= loss <= made.loss(nearest, scale) + 1e-9
        excess["bit_split"] += (loss - best) / -best
        excess["nearest"] += (made.loss(nearest, scale) - best) / -best
    assert excess["bit_split"] < 0.5 * excess["nearest"]


def test_no_change_of_one_digit_is_better_where_it_ends() -> None:
    for seed in range(5):
        a, weight = problem(seed, columns=3)
        made = reconstruction(a, a @ weight, weight, 0.01)
        scale = float(weight.abs().max()) / 7
        found, scale = bit_split(made, (weight.double() / scale).round(), scale, 4, 100)
        loss = made.loss(found, scale)
        digits = split_digits(found, 4)
        for m, n, column in np.ndindex(3, 4, 3):
            for value in (-1, 0, 1):
                changed = digits.clone()
                changed[m, n, column] = value
                assert made.loss(stitch(changed), scale) >= loss - 1e-9


def test_each_sweep_lowers_the_error() -> None:
    a, weight = problem(5, rows=300, depth=100, columns=7)
    made = reconstruction(a, a @ weight, weight, 0.01)
    scale = float(weight.abs().max()) / 7
    nearest = (weight.double() / scale).round().clamp(-7, 7)
    losses = [made.loss(*bit_split(made, nearest, scale, 4, epochs)) for epochs in (1, 2, 4, 8)]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] < made.loss(nearest, scale)


def test_inputs_that_are_always_zero_keep_their_codes() -> None:
    a, weight = problem(6)
    a[:, 2] = 0
    nearest = torch.tensor([[1.0], [-2.0], [3.0], [0.0]], dtype=torch.float64)
    found, _ = bit_split(reconstruction(a, a @ weight, weight, 0.0), nearest, 0.3, 3, 5)
    assert found[2] == 3.0


def test_a_layer_stores_the_codes_that_were_found(model: nn.Module, images: torch.Tensor) -> None:
    q = ptq.calibrate(model, images, method="bit_split", w_bits=3, a_bits=8, n=10, paradigm="parallel")
    nearest = ptq.calibrate(model, images, method="base_ptq", metric="mse", w_bits=3, a_bits=8, n=10)
    with ptq.capture(model, images, gradient=None) as captured:
        for name in ("blocks.0.attn.qkv", "blocks.1.mlp.fc1"):
            data, op = captured[name], q.layers[name]
            assert op.formats is not None
            codes = op.weight_codes
            assert codes is not None
            assert [c.format for c in codes] == list(op.formats.b)
            rounded = [pq.quantize(data.b[g].numpy(), fmt) for g, fmt in enumerate(op.formats.b)]
            assert any(not np.array_equal(c.codes, r.codes) for c, r in zip(codes, rounded, strict=True))
            op.mode = nearest.layers[name].mode = "fake_quant"
            errors = [
                float((made.layers[name].product(data.a, data.b) - data.out).square().sum()) for made in (q, nearest)
            ]
            assert errors[0] < errors[1]


@pytest.mark.parametrize("channel", [False, True])
def test_every_group_of_a_convolution_is_reconstructed_from_its_own_input(channel: bool) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(6, 6, 3, groups=3, bias=False)
    op, x = ConvOperation("conv", conv), torch.randn(4, 6, 7, 7)
    seen: list[OperationData] = []
    op.observer = lambda op, a, b, out: seen.append(OperationData(a, b, out, None, 4))
    op(x)
    method = make_method("bit_split", {"n": 12, "paradigm": "parallel"})
    granularity = Granularity.CHANNEL if channel else Granularity.TENSOR
    found = calibrate_layer(op, seen[0], method, 3, 8, OperandRules(granularity))
    assert found.weight_codes is not None
    for group, codes in enumerate(found.weight_codes):
        alone = nn.Conv2d(2, 2, 3, bias=False)
        part = slice(2 * group, 2 * group + 2)
        with torch.no_grad():
            alone.weight.copy_(conv.weight[part])
        data = seen[0]
        of_group = slice(group, group + 1)
        data = OperationData(data.a[of_group], data.b[of_group], data.out[of_group], None, 4)
        expected = calibrate_layer(
            ConvOperation("alone", alone), data, method, 3, 8, OperandRules(granularity)
        ).weight_codes
        assert expected is not None
        assert np.array_equal(codes.codes, expected[0].codes)
        assert codes.format == expected[0].format
