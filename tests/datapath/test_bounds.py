"""Theorems: nothing is outside them, and the datatype and weight-aware ones are reached."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ptqsim as pq
from ptqsim import bounds


def formats(bits: int) -> list[pq.NumberFormat]:
    return [pq.Uniform(bits, 0.1), pq.TwinSoftmax(bits, 3), pq.TwinGELU(bits, 2, 0.1)]


def extreme(array_format: pq.NumberFormat, codes: list[int], shape: tuple[int, int]) -> pq.QuantizedArray:
    return pq.QuantizedArray(np.resize(codes, shape), array_format)


def test_examples_that_must_hold() -> None:
    uniform = pq.Uniform(8, 1.0)
    for twin in (pq.TwinSoftmax(8, 8), pq.TwinGELU(8, 8, 1.0)):
        assert pq.required_bits(twin, uniform, 384) == 32
        assert pq.required_bits(twin, uniform, 1536) == 34
    assert pq.required_bits(uniform, uniform, 384) == 24  # 384 * 2**14 = 6291456 < 2**23
    assert pq.required_bits(uniform, uniform, 0) == 2  # zero takes one bit, and no register is narrower than two


@pytest.mark.parametrize("a_format", formats(3), ids=str)
@pytest.mark.parametrize("b_format", formats(3), ids=str)
def test_datatype_bound_is_tight(a_format: pq.NumberFormat, b_format: pq.NumberFormat) -> None:
    products = {x * w for x in a_format.aligned_table().tolist() for w in b_format.aligned_table().tolist()}
    for depth in (1, 2, 7):
        bound = bounds.datatype(a_format, b_format, depth)
        assert (bound.lowest, bound.highest) == (depth * min(0, *products), depth * max(0, *products))
        assert bound.kind == "theorem"
        assert str(bound.bits) in str(bound)


def test_deferred_registers_see_no_shift() -> None:
    twin, uniform = pq.TwinGELU(8, 8, 1.0), pq.Uniform(8, 1.0)
    assert bounds.datatype(twin, uniform, 384, "deferred").bits == pq.required_bits(uniform, uniform, 384)
    assert bounds.datatype(twin, uniform, 384, "operand") == bounds.datatype(twin, uniform, 384)
    with pytest.raises(ValueError, match="Did you mean 'deferred'"):
        bounds.datatype(twin, uniform, 384, "differed")


@pytest.mark.parametrize("a_format", formats(3), ids=str)
@pytest.mark.parametrize("b_format", formats(4), ids=str)
def test_weight_aware_bound_is_reached(
    a_format: pq.NumberFormat, b_format: pq.NumberFormat, rng: np.random.Generator
) -> None:
    weights = pq.QuantizedArray(rng.integers(0, 16, (5, 6)), b_format)
    bound = bounds.weight_aware(a_format, weights)
    # The worst activations are at the ends of their range, by the sign of the weight they meet.
    ends = np.array([min(0, a_format.aligned_min), max(0, a_format.aligned_max)])
    w = weights.aligned()
    highest = np.maximum(ends[0] * w, ends[1] * w).clip(min=0).sum(axis=0)
    lowest = np.minimum(ends[0] * w, ends[1] * w).clip(max=0).sum(axis=0)
    assert (bound.lowest, bound.highest) == (lowest.min(), highest.max())
    assert bound.per_output is not None
    assert bound.per_output.shape == (6,)
    assert bound.bits == bound.per_output.max() <= pq.required_bits(a_format, b_format, 5)


def test_weight_aware_uses_the_sign_of_a_one_signed_operand() -> None:
    weights = pq.quantize([[1.0], [-1.0], [1.0], [-1.0]], pq.Uniform(8, 1.0))
    one_signed, signed = pq.TwinSoftmax(8, 0), pq.Uniform(8, 1.0)
    assert (bounds.weight_aware(one_signed, weights).lowest, bounds.weight_aware(one_signed, weights).highest) == (
        -254,
        254,
    )
    assert bounds.weight_aware(signed, weights).highest == 2 * 127 + 2 * 128
    deferred = bounds.weight_aware(pq.TwinSoftmax(8, 6), weights, "deferred")
    assert deferred.highest == 254
    with pytest.raises(ValueError, match=r"weights must be \[..., K, N\]"):
        bounds.weight_aware(signed, weights[:, 0])


SOFTMAX_FORMATS = [
    *(pq.TwinSoftmax(bits, shift) for bits in (3, 4, 8) for shift in (0, 1, 4, 11)),
    *(pq.TwinSoftmax(bits, shift, range_choice="nearest") for bits in (3, 8) for shift in (1, 4, 11)),
    pq.TwinSoftmax(4, 3, "toward_zero"),
    pq.TwinSoftmax(4, 3, "half_up"),
    pq.Uniform(4, 1 / 16),
    pq.Uniform(8, 1 / 128),
    pq.Uniform(8, 0.0071, "half_away"),
]


@pytest.mark.parametrize("a_format", SOFTMAX_FORMATS, ids=str)
def test_row_stochastic_bound_holds_and_is_close(a_format: pq.NumberFormat, rng: np.random.Generator) -> None:
    b_format = pq.Uniform(8, 1.0)
    for depth in (1, 3, 16, 197):
        bound = bounds.row_stochastic(a_format, b_format, depth)
        greatest = bound.highest // 127
        assert bound.lowest == -128 * greatest
        assert bound.bits <= pq.required_bits(a_format, b_format, depth)
        rows = [np.exp(rng.normal(0, spread, (50, depth))) for spread in (0.01, 0.5, 2, 6)]
        probabilities = np.concatenate([row / row.sum(axis=1, keepdims=True) for row in rows]).astype(np.float32)
        sums = a_format.align(a_format.encode(probabilities)).sum(axis=1)
        assert sums.max() <= greatest
        # A whole number of equal values may have to leave up to half of the sum unspent, one value more would not.
        assert greatest <= min(depth * a_format.aligned_max, 2 * worst_row(a_format, depth) + a_format.aligned_max)


def worst_row(a_format: pq.NumberFormat, depth: int) -> int:
    """The best of the rows that spend the whole sum on equal values, each just enough for one code."""
    codes = np.unique(a_format.align(np.arange(a_format.code_count)))
    fine = np.linspace(0, 1, 200_001)
    encoded = a_format.align(a_format.encode(fine))
    worst = 0
    for before, value in pairwise(codes[codes >= 0]):
        at = np.searchsorted(encoded, value)
        if at < fine.size and encoded[at] > before:
            worst = max(worst, min(depth, int(1 / max(fine[at], 1e-12))) * int(encoded[at]))
    return worst


def test_row_stochastic_with_the_values_known(rng: np.random.Generator) -> None:
    twin = pq.TwinSoftmax(8, 6)
    values = pq.quantize(rng.uniform(-10, 20, (197, 64)), pq.Uniform(8, 1.0))
    known, unknown = bounds.row_stochastic(twin, values, 197), bounds.row_stochastic(twin, values.format, 197)
    assert known.highest == unknown.highest // 127 * values.aligned().max()
    assert known.lowest == unknown.lowest // 128 * -values.aligned().min()
    assert bounds.row_stochastic(twin, values, 197, row_sum=2.0).highest > known.highest
    with pytest.raises(ValueError, match="Uniform or TwinSoftmax"):
        bounds.row_stochastic(pq.TwinGELU(8, 3, 1.0), values, 197)
    with pytest.raises(ValueError, match="must be finite and positive"):
        bounds.row_stochastic(twin, values, 197, row_sum=0.0)


@given(st.data())
def test_theorems_cover_what_is_observed(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    depth = data.draw(st.integers(1, 9))
    a_format = data.draw(st.sampled_from(formats(4)))
    b_format = data.draw(st.sampled_from(formats(4)))
    a = pq.QuantizedArray(rng.integers(0, 16, (4, depth)), a_format)
    b = pq.QuantizedArray(rng.integers(0, 16, (depth, 3)), b_format)
    for alignment in ("product", "deferred"):
        for order in (pq.Sequential(), pq.Tree(2), pq.Split(3, 30)):
            overflow = pq.matmul(a, b, pq.Accumulator(40, order=order, alignment=alignment)).overflow
            assert overflow is not None
            seen = bounds.calibrated(overflow)
            assert seen.kind == "observation"
            for theorem in (
                bounds.weight_aware(a_format, b, alignment),
                bounds.datatype(a_format, b_format, depth, alignment),
            ):
                assert theorem.lowest <= seen.lowest
                assert seen.highest <= theorem.highest
                assert overflow.inner_bits_needed <= theorem.bits


def test_sums_beyond_int64_do_not_wrap() -> None:
    """66000 weights of 65535 at the finest of 2**32 steps: each is 32767 * 2**32, times -2 or 1."""
    weights = pq.QuantizedArray(np.full((66000, 1), 65535, np.uint16), pq.TwinSoftmax(16, 32))
    bound = bounds.weight_aware(pq.Uniform(2, 1.0), weights)
    total = 66000 * 32767 * 2**32
    assert (bound.lowest, bound.highest) == (-2 * total, total) == (-18576781527220224000, 9288390763610112000)
    assert bound.per_output is not None
    assert (bound.bits, bound.per_output.tolist()) == (66, [66])


@given(st.integers(2, 16), st.integers(0, 32), st.integers(0, 2**32 - 1))
def test_weight_aware_in_python_integers(width: int, shift: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a_format, b_format = pq.TwinGELU(16, 32, 1.0), pq.TwinGELU(width, shift, 1.0)
    # Many of the greatest code, so that a sum of 16 bits by 32 leaves int64.
    codes = np.where(rng.random((70_000, 2)) < 0.01, rng.integers(0, 1 << width, (70_000, 2)), (1 << width) - 1)
    bound = bounds.weight_aware(a_format, pq.QuantizedArray(codes, b_format))
    a_low, a_high = -32767, 32767 << 32
    lows, highs = [], []
    for column in codes.T:
        of_code = {code: pq.reference.operand(code, b_format).aligned for code in set(column.tolist())}
        many = dict(zip(*(part.tolist() for part in np.unique(column, return_counts=True)), strict=True))
        above = sum(value * many[code] for code, value in of_code.items() if value > 0)
        below = sum(value * many[code] for code, value in of_code.items() if value < 0)
        highs.append(a_high * above + a_low * below)
        lows.append(a_low * above + a_high * below)
    assert (bound.lowest, bound.highest) == (min(lows), max(highs))


def test_every_width_is_one_that_a_register_can_have() -> None:
    """Zero fits a bit, and the narrowest register has two."""
    uniform, none = pq.Uniform(8, 1.0), pq.QuantizedArray(np.zeros((3, 2), np.uint8), pq.Uniform(8, 1.0))
    seen = pq.matmul(none.swapaxes(0, 1), none, pq.Accumulator(8)).overflow
    assert seen is not None
    found = [
        bounds.datatype(uniform, uniform, 0),
        bounds.weight_aware(uniform, none),
        bounds.weight_aware(uniform, none[:0]),
        bounds.weight_aware(uniform, none[:, :0]),
        bounds.row_stochastic(pq.TwinSoftmax(8, 3), none, 3),
        bounds.row_stochastic(pq.TwinSoftmax(8, 3), uniform, 0),
        bounds.calibrated(seen),
    ]
    assert [pq.Accumulator(bound.bits).bits for bound in found] == [2] * 7
    assert (seen.bits_needed, seen.inner_bits_needed) == (2, 2)
    per_output = found[1].per_output
    assert per_output is not None
    assert per_output.tolist() == [2, 2]


def test_calibrated_joins_what_was_seen() -> None:
    uniform = pq.Uniform(8, 1.0)
    results = [
        pq.matmul(pq.quantize([[x]], uniform), pq.quantize([[y]], uniform), pq.Accumulator(4))
        for x, y in ((10, 10), (-20, 7))
    ]
    overflows = [result.overflow for result in results if result.overflow is not None]
    bound = bounds.calibrated(*overflows)
    assert (bound.lowest, bound.highest, bound.bits) == (-140, 100, 9)
    for nothing in ((), (None,)):
        with pytest.raises(ValueError, match="statistics=True"):
            bounds.calibrated(*nothing)  # type: ignore[arg-type]
