"""Operands in words of bytes and of int16: where they end, and in how many planes they are kept."""

from __future__ import annotations

import numpy as np
import pytest

import ptqsim as pq
from ptqsim.gemm.operands import operand as operands
from ptqsim.gemm.operands import planes
from ptqsim.gemm.product import Product
from ptqsim.kernels.runtime import machine


def random(shape: tuple[int, ...], number_format: pq.NumberFormat, rng: np.random.Generator) -> pq.QuantizedArray:
    return pq.QuantizedArray(rng.integers(0, number_format.code_count, shape), number_format)


@pytest.mark.parametrize("bits", range(2, 17))
def test_every_code_on_either_side(bits: int) -> None:
    """Kernels make the mantissas of most formats anew from the codes; here they meet every code."""
    codes = np.arange(2**bits)
    one = pq.quantize(np.ones((1, 1)), pq.Uniform(2, 1.0))
    for number_format in (pq.Uniform(bits, 1.0), pq.TwinSoftmax(bits, 3), pq.TwinGELU(bits, 3, 1.0)):
        column, row = (pq.QuantizedArray(codes.reshape(shape), number_format) for shape in ((-1, 1), (1, -1)))
        for accumulator in (pq.Accumulator(40), pq.Accumulator(40, alignment="deferred")):
            assert np.array_equal(pq.matmul(column, one, accumulator).acc, column.aligned())
            assert np.array_equal(pq.matmul(one, row, accumulator).acc, row.aligned())


@pytest.mark.parametrize("bits", range(2, 17))
def test_the_rule_of_a_table_gives_the_table(bits: int) -> None:
    codes = np.arange(2**bits, dtype=np.int64)
    for number_format in (pq.Uniform(bits, 1.0), pq.TwinSoftmax(bits, 3), pq.TwinGELU(bits, 3, 1.0)):
        for each in number_format.ranges():
            for offset in (0, 128):
                low, high, flip, added, sign, other = planes._rule(each.mantissa, offset).tolist()
                values = np.where((codes >= low) & (codes < high), (((codes ^ flip) + added) ^ sign) - sign, 0)
                assert np.array_equal(values + other, each.mantissa + offset)
    assert not planes._rule(codes**3, 0).any()


def test_pairs_of_int16_end_where_int32_does() -> None:
    sixteen = pq.Uniform(16, 1.0)
    if not machine.PAIRS:
        pytest.skip("needs a processor that multiplies pairs of int16")
    for sign in (1, -1):
        # The last of these products make the sum 2**31 - 1, and one more 2**31.
        for rest, kernel in (([32767, 1], "dot_int16"), ([32767, 2], "blas_float64")):
            parts = [32767] * 65536 + [32767, *rest]
            a = pq.quantize(np.array([parts]), sixteen)
            b = pq.quantize(np.array([[sign]] * len(parts)), sixteen)
            total = sign * sum(parts)
            exact = pq.matmul(a, b, pq.Accumulator(40))
            assert (exact.kernel, exact.acc[0, 0]) == (kernel, total)
            wrapped = pq.matmul(a, b, pq.Accumulator(32), statistics=False)
            assert (wrapped.kernel, wrapped.acc[0, 0]) == ("dot_int16", (total + 2**31) % 2**32 - 2**31)


def test_pairs_of_the_least_int16() -> None:
    """The only two products whose sum the instruction itself wraps."""
    sixteen = pq.Uniform(16, 1.0)
    for depth in (1, 2, 3, 5):
        a = pq.quantize(np.full((9, depth), -(2.0**15)), sixteen)
        for bits in (20, 32, 40):
            result = pq.matmul(a, a[:5].swapaxes(0, 1), pq.Accumulator(bits), statistics=False)
            expected = (depth * 2**30 + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)
            assert (result.acc == expected).all()


def test_one_product_where_all_of_a_twin_fits(rng: np.random.Generator) -> None:
    """Aligned values that fit a part of a word need no plane per range; where they do not, both ranges have one."""
    for bits, shift in ((4, 4), (4, 5), (8, 8), (8, 9), (16, 1)):
        a = random((9, 48), pq.TwinGELU(bits, shift, 0.01), rng)
        b = random((48, 20), pq.TwinGELU(bits, shift, 0.01), rng)
        product = Product(operands.left(a), operands.right(b))
        for parts, values in ((planes.BYTES, 7), (planes.PAIRS, 15)):
            left, right = planes.left_planes(product.left, 9, parts), planes.right_planes(product.right, parts)
            whole = bits - 1 + shift <= values
            halves = bits - 1 <= values
            assert (left is None, right is None) == (not halves, not halves)
            if left is not None and right is not None:
                assert len(left.shifts) == len(right.shifts) == (1 if whole else 2)
        assert np.array_equal(pq.matmul(a, b, pq.Accumulator(63)).acc, a.aligned() @ b.aligned())
