"""Bounds of registers for blocks: reached by blocks made for it, and never passed."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ptqsim as pq

FORMATS = (pq.MXINT8, pq.MXFP8, pq.MXFP4, pq.MXFP6_E3M2)


def extreme(block_format: pq.Block, depth: int, scale_code: int, axis: int, negative: bool) -> pq.BlockArray:
    """One line of the greatest elements, or of the least."""
    table = block_format.element.aligned_table()
    code = int(table.argmin() if negative else table.argmax())
    blocks = -(-depth // block_format.block)
    codes = np.full((1, blocks * block_format.block), code)
    codes[0, depth:] = 0
    scales = np.full((1, blocks), scale_code)
    return pq.BlockArray(codes.reshape(1, blocks, -1), scales, block_format, depth, axis)


@pytest.mark.parametrize("a_format", FORMATS)
@pytest.mark.parametrize("rounding", ["cut", "half_even"])
def test_both_ends_occur(a_format: pq.Block, rounding: str) -> None:
    """With scales of 2 and 1/4 and the last block not full."""
    register = pq.FixedPoint(63, -5, "wrap", rounding)
    bound = pq.block_bounds.datatype(a_format, pq.MXINT8, 70, register, a_scale=2.0, b_scale=0.25)
    low_a, high_a = extreme(a_format, 70, 128, -1, True), extreme(a_format, 70, 128, -1, False)
    low_b, high_b = extreme(pq.MXINT8, 70, 125, -2, True), extreme(pq.MXINT8, 70, 125, -2, False)
    operands = [(x, w) for x in (low_a, high_a) for w in (low_b, high_b)]
    sums = [pq.block_reference.matmul(*each, register)[0][0] for each in operands]
    assert (bound.lowest, bound.highest) == (min(sums), max(sums))
    widest = operands[int(np.argmax([max(~value, value) for value in sums]))]
    pq.block_reference.matmul(*widest, pq.FixedPoint(bound.bits, -5, "trap", rounding))
    narrow = pq.FixedPoint(bound.bits - 1, -5, "trap", rounding)
    with pytest.raises(pq.AccumulatorOverflowError):
        pq.block_reference.matmul(*widest, narrow)


def test_widths_by_hand() -> None:
    """E2M1 times E2M1 reaches 12 * 12 * 16 = 2304 in quarters; scales of 448 make it 2304 * 448**2 / 4."""
    bound = pq.block_bounds.datatype(pq.NVFP4, pq.NVFP4, 32, pq.FixedPoint(8, -2))
    assert bound.highest == 2 * 2304 * 448**2 == -bound.lowest
    assert bound.bits == (2 * 2304 * 448**2).bit_length() + 1
    mx = pq.block_bounds.datatype(pq.MXFP4, pq.MXFP4, 32, pq.FixedPoint(8, -2))
    assert mx.highest == 2 * 2304 << 254
    assert mx.bits == 268
    assert str(mx).startswith("268 bits (datatype theorem): 1 blocks of up to 32 products between -144 and 144, and")
    nothing = pq.block_bounds.datatype(pq.MXFP4, pq.MXFP4, 0, pq.FixedPoint(8, -2))
    assert (nothing.lowest, nothing.highest, nothing.bits) == (0, 0, 2)
    small = pq.block_bounds.datatype(pq.MXFP4, pq.MXFP4, 64, pq.FixedPoint(8, 30), 1.0, 1.0)
    assert (small.lowest, small.highest) == (-2, 0)  # cut toward negative infinity


def test_weights_are_bounded_by_their_own_scales(rng: np.random.Generator) -> None:
    """Beside the reference with activations made from the signs of one column's weights."""
    w = rng.normal(size=(70, 5)) * 2.0 ** rng.integers(-4, 4, (70, 1))
    weights = pq.quantize_blocks(w, pq.MXFP6, axis=0)
    register = pq.FixedPoint(60, -9, "trap", "half_even")
    bound = pq.block_bounds.weight_aware(pq.MXINT8, weights, register, a_scale=0.5)
    assert bound.per_output is not None
    assert bound.per_output.shape == (5,)
    element = weights.format.element
    found = []
    for column in range(5):
        signs = element.align(weights.codes[column]).reshape(-1) > 0
        for flip in (False, True):
            codes = np.where(signs != flip, 127, 128)
            a = pq.BlockArray(codes.reshape(1, 3, 32), np.full((1, 3), 126), pq.MXINT8, 70)
            b = pq.BlockArray(weights.codes[[column]], weights.scales[[column]], weights.format, 70, -2)
            found.append(pq.block_reference.matmul(a, b, register)[0][0])
    assert (bound.lowest, bound.highest) == (min(found), max(found))
    loose = pq.block_bounds.datatype(
        pq.MXINT8, pq.MXFP6, 70, register, 0.5, float(2.0 ** (weights.scales.max() - 127.0))
    )
    assert loose.lowest <= bound.lowest
    assert bound.highest <= loose.highest


@given(st.sampled_from(FORMATS), st.integers(1, 70), st.integers(-12, 6), st.booleans(), st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_no_prefix_passes_a_bound(block_format: pq.Block, depth: int, weight: int, cut: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(2, depth)), rng.normal(size=(depth, 2))
    a, b = pq.quantize_blocks(x, block_format), pq.quantize_blocks(w, pq.MXFP8, axis=0)
    register = pq.FixedPoint(63, weight, "wrap", "cut" if cut else "half_even")
    scale = float(2.0 ** (a.scales.max() - 127.0))
    datatype = pq.block_bounds.datatype(block_format, pq.MXFP8, depth, register, scale, 2.0 ** (b.scales.max() - 127.0))
    aware = pq.block_bounds.weight_aware(block_format, b, register, scale)
    for row in pq.block_reference.values(a, b):
        for values in row:
            total = 0
            for value in values:
                total += pq.block_reference.on_grid(Fraction(value), register)
                assert datatype.lowest <= aware.lowest <= total <= aware.highest <= datatype.highest


@pytest.mark.parametrize(("arguments", "kind", "words"), [
    ((pq.E4M3, pq.MXFP8, 8, pq.FixedPoint(8, 0)), TypeError, "a_format must be a Block"),
    ((pq.MXFP8, pq.MXFP8, 8, pq.Float32()), TypeError, "register must be a FixedPoint"),
    ((pq.MXFP8, pq.MXFP8, -1, pq.FixedPoint(8, 0)), ValueError, "depth must be an integer from 0"),
    ((pq.MXFP8, pq.NVFP4, 8, pq.FixedPoint(8, 0)), ValueError, "blocks of 32 and of 16 values do not fit"),
    ((pq.MXFP8, pq.MXFP8, 8, pq.FixedPoint(8, 0), 3.0), ValueError, r"a_scale is 3.0, .* powers of two from 2..-127"),
    ((pq.MXFP8, pq.MXFP8, 8, pq.FixedPoint(8, 0), 1.0, 2.0**128), ValueError, "b_scale is 3.4.*are powers of two"),
    ((pq.NVFP4, pq.NVFP4, 8, pq.FixedPoint(8, 0), 449.0), ValueError, "numbers of E4M3 up to 448; try 448.0"),
])  # fmt: skip
def test_what_is_refused(arguments: tuple[Any, ...], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        pq.block_bounds.datatype(*arguments)


def test_weights_that_are_refused() -> None:
    register = pq.FixedPoint(8, 0)
    rows = pq.quantize_blocks(np.ones((4, 32)), pq.MXFP8)
    with pytest.raises(ValueError, match=r"blocks along the last axis but one, got the shape .4, 32."):
        pq.block_bounds.weight_aware(pq.MXFP8, rows, register)
    with pytest.raises(ValueError, match="give the same size"):
        pq.block_bounds.weight_aware(pq.NVFP4, pq.quantize_blocks(np.ones((32, 4)), pq.MXFP8, 0), register)
    with pytest.raises(TypeError, match="weights must be a BlockArray"):
        pq.block_bounds.weight_aware(pq.MXFP8, pq.quantize(np.ones((32, 4)), pq.E4M3), register)
