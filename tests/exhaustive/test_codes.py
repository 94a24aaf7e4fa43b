"""Every code of every format that can be built, and every pair of twin codes."""

from __future__ import annotations

import numpy as np
import pytest

import ptqsim as pq

slow = pytest.mark.slow


@pytest.mark.parametrize("bits", range(2, 17))
def test_every_code_of_every_aligned_format(bits: int) -> None:
    """All widths and all shifts, from the definitions: two's complement, and flag, magnitude and shift."""
    codes = np.arange(1 << bits)
    flag, magnitude = np.divmod(codes, 1 << (bits - 1))
    uniform = pq.Uniform(bits, 0.37)
    assert np.array_equal(uniform.align(codes), codes - (flag << bits))
    assert np.array_equal(uniform.decode(codes), (codes - (flag << bits)) * 0.37)
    for zero_point in {0, 1, (1 << bits) // 3, (1 << bits) - 1}:
        unsigned = pq.Uniform(bits, 0.37, signed=False, zero_point=zero_point)
        assert np.array_equal(unsigned.align(codes), codes - zero_point)
        assert np.array_equal(unsigned.decode(codes), (codes - zero_point) * 0.37)
        signed = pq.Uniform(bits, 0.37, zero_point=zero_point - (1 << (bits - 1)))
        assert np.array_equal(signed.align(codes), codes - (flag << bits) - zero_point + (1 << (bits - 1)))
        for each in (unsigned, signed):
            assert np.array_equal(each.encode(each.decode(codes)), codes)
            assert (each.aligned_min, each.aligned_max) == (each.align(codes).min(), each.align(codes).max())
    for shift in range(33):
        softmax, gelu = pq.TwinSoftmax(bits, shift), pq.TwinGELU(bits, shift, 0.37)
        second = flag * magnitude * (1 << shift)
        for twin, first in ((softmax, magnitude), (gelu, -magnitude)):
            expected = np.where(flag == 1, second, first)
            assert np.array_equal(twin.align(codes), expected)
            assert np.array_equal(twin.decode(codes), expected * twin.scale)
            parts = twin.ranges()
            assert np.array_equal(sum(part.mantissa << part.shift for part in parts), expected)
            assert (twin.aligned_min, twin.aligned_max) == (expected.min(), expected.max())


@pytest.mark.parametrize("bits", range(2, 9))
def test_every_code_of_log2_and_pwlq(bits: int) -> None:
    log2 = pq.Log2(bits)
    codes = np.arange(1 << bits)
    assert log2.decode(codes).tolist() == [2.0**-code for code in range((1 << bits) - 1)] + [0.0]
    if bits <= 5:
        assert log2.align(codes).tolist() == [1 << ((1 << bits) - 2 - c) for c in range((1 << bits) - 1)] + [0]
    pwlq = pq.PWLQ(bits, 0.0625, 0.25, 0.75)
    half = 1 << (bits - 1)
    for code in range(1 << (bits + 1)):
        tail, low = divmod(code, 1 << bits)
        sign, magnitude = divmod(low, half)
        center = low - (sign << bits)
        beyond = (0.75 + magnitude * 0.25) * (-1) ** sign
        assert pwlq.decode([code])[0] == (beyond if tail else center * 0.0625)


def pairs(bits: int, shift: int) -> list[tuple[pq.NumberFormat, pq.NumberFormat]]:
    uniform, softmax, gelu = pq.Uniform(bits, 0.1), pq.TwinSoftmax(bits, shift), pq.TwinGELU(bits, shift, 0.1)
    return [(softmax, uniform), (gelu, uniform), (uniform, softmax), (softmax, gelu), (gelu, gelu), (softmax, softmax)]


@pytest.mark.parametrize("bits", [2, 3, 4, 5, *(pytest.param(bits, marks=slow) for bits in (6, 7, 8))])
def test_every_pair_of_twin_codes(bits: int) -> None:
    """Product and alignment, through the kernels and through the reference, for every shift up to 11."""
    codes = np.arange(1 << bits)
    accumulators = [pq.Accumulator(48, alignment=alignment) for alignment in ("product", "operand", "deferred")]
    for shift in range(12):
        for a_format, b_format in pairs(bits, shift):
            a, b = pq.QuantizedArray(codes[:, None], a_format), pq.QuantizedArray(codes[None, :], b_format)
            products = np.multiply.outer(a_format.align(codes), b_format.align(codes))
            for accumulator in accumulators:
                assert np.array_equal(pq.matmul(a, b, accumulator).acc, products)
                assert pq.reference.matmul(a, b, accumulator) == products.tolist()
