"""The bound that fast paths are chosen by: it holds, and it is not taken from anything but the operands."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ptqsim as pq
from ptqsim.gemm.operands import operand as operands
from ptqsim.gemm.product import Product, magnitude_bound


def magnitudes(a: pq.QuantizedArray, b: pq.QuantizedArray) -> int:
    """The largest sum of |a||w| of any output, in unbounded integers."""
    left, right = np.abs(a.aligned()).astype(object), np.abs(b.aligned()).astype(object)
    return int(np.max(left @ right))


@given(st.data())
def test_bound_covers_every_sum(data: st.DataObject) -> None:
    bits, shift = data.draw(st.integers(2, 16)), data.draw(st.integers(0, 32))
    a_format = data.draw(
        st.sampled_from([pq.Uniform(bits, 1.0), pq.TwinSoftmax(bits, shift), pq.TwinGELU(bits, shift, 1.0)])
    )
    b_format = pq.Uniform(data.draw(st.integers(2, 16)), 1.0)
    rows, depth, columns = (data.draw(st.integers(1, 5)) for _ in range(3))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    a = pq.QuantizedArray(rng.integers(0, a_format.code_count, (rows, depth)), a_format)
    b = pq.QuantizedArray(rng.integers(0, b_format.code_count, (depth, columns)), b_format)
    product = Product(operands.left(a), operands.right(b))
    assert product.bound >= magnitudes(a, b)
    assert product.bound <= depth * int(np.abs(a.aligned()).max()) * int(np.abs(b.aligned()).max()) * (1 + 2**-19) + 1
    assert product.bound >= product.peak >= 0


def test_bound_is_exact_for_equal_values() -> None:
    number_format = pq.Uniform(16, 1.0)
    for depth, value in ((7, 3), (1024, 128), (4097, 181)):
        a = pq.quantize(np.full((2, depth), value), number_format)
        assert Product(operands.left(a), operands.right(a.swapaxes(0, 1))).bound == depth * value**2


def test_each_of_the_three_bounds_is_the_least_somewhere() -> None:
    number_format = pq.Uniform(16, 1.0)
    flat, spiked = [[1, 1, 1, 1]], [[100, 0, 0, 0]]
    gaussian = np.random.default_rng(0).normal(0, 100, (1, 400)).round().tolist()

    def bound(a: list[list[float]], b: list[list[float]]) -> tuple[int, int]:
        left, right = pq.quantize(a, number_format), pq.quantize(np.transpose(b), number_format)
        return magnitude_bound(operands.left(left).largest_norms, operands.right(right).largest_norms), magnitudes(
            left, right
        )

    assert bound(spiked, flat)[0] == 100  # sum |a| * max |w|
    assert bound(flat, spiked)[0] == 100  # max |a| * sum |w|
    found, least = bound(gaussian, gaussian)  # Cauchy and Schwarz: equal vectors reach it
    assert least <= found <= least * (1 + 2**-19) + 1


def test_values_are_the_aligned_codes(rng: np.random.Generator) -> None:
    for number_format in (pq.Uniform(5, 1.0), pq.TwinGELU(8, 20, 1.0), pq.TwinSoftmax(16, 32)):
        array = pq.QuantizedArray(rng.integers(0, number_format.code_count, (3, 4, 6)), number_format)
        for side, axis in ((operands.left(array), 2), (operands.right(array), 1)):
            assert np.array_equal(side.values(side.float_type).astype(np.int64), array.aligned())
            absolute = np.abs(array.aligned()).astype(np.float64)
            assert np.array_equal(side.norms.peak, absolute.max(axis=axis))
            assert np.array_equal(side.norms.total, absolute.sum(axis=axis))
            assert side.norms.energy == pytest.approx((absolute**2).sum(axis=axis), rel=1e-12)
        parts = [operands.left(array, index).values(np.float64) for index in range(len(number_format.ranges()))]
        shifted = sum(part.astype(np.int64) << r.shift for part, r in zip(parts, number_format.ranges(), strict=True))
        assert np.array_equal(shifted, array.aligned())


def test_prepared_operands_live_as_long_as_their_array(rng: np.random.Generator) -> None:
    gc.collect()
    before = len(operands._known)
    array = pq.QuantizedArray(rng.integers(0, 256, (3, 4)), pq.Uniform(8, 1.0))
    assert operands.right(array) is operands.right(array)
    assert operands.left(array) is not operands.right(array)
    assert len(operands._known) == before + 1
    del array
    gc.collect()
    assert len(operands._known) == before
