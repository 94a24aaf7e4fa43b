"""Products of operands with scales per channel: the same registers, another unit for every column or row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ptqsim as pq
from ptqsim import rtl

ACCUMULATORS = [
    pq.Accumulator(32), pq.Accumulator(9, "wrap"), pq.Accumulator(9, "saturate"),
    pq.Accumulator(10, "saturate", order=pq.Split(4, 8)), pq.Accumulator(12, "wrap", alignment="deferred"),
]  # fmt: skip


def operand(shape: tuple[int, ...], axis: int | None, random: Any, bits: int = 4) -> pq.QuantizedArray:
    scale = 0.25 if axis is None else np.exp2(random.randint(-9, 3, shape[axis]) / 2)
    return pq.QuantizedArray(random.randint(0, 1 << bits, shape), pq.Uniform(bits, scale, axis=axis))


@given(
    lead=st.sampled_from([(), (2,), (3, 2)]), per_row=st.booleans(), per_column=st.booleans(),
    sizes=st.tuples(*[st.integers(1, 9)] * 3), accumulator=st.sampled_from(ACCUMULATORS), seed=st.integers(0, 999),
)  # fmt: skip
def test_accumulators_are_those_of_one_scale_and_reals_are_per_channel(
    lead: tuple[int, ...], per_row: bool, per_column: bool, sizes: tuple[int, int, int], accumulator: pq.Accumulator,
    seed: int,
) -> None:  # fmt: skip
    random = np.random.RandomState(seed)
    m, k, n = sizes
    a = operand((*lead, m, k), -2 if per_row else None, random)
    b = operand((k, n), -1 if per_column else None, random)
    plain_a, plain_b = (pq.QuantizedArray(x.codes, x.format.unscaled().with_scale(1.0)) for x in (a, b))
    found, expected = pq.matmul(a, b, accumulator), pq.matmul(plain_a, plain_b, accumulator)
    np.testing.assert_array_equal(found.acc, expected.acc)
    assert found.overflow is not None
    assert expected.overflow is not None
    assert (found.overflow.events, found.overflow.first) == (expected.overflow.events, expected.overflow.first)
    shape = {(0, 0): (), (0, 1): (n,), (1, 0): (m, 1), (1, 1): (m, n)}[per_row, per_column]
    assert np.shape(found.scale) == shape
    units = np.array([[sa * sb for sb in np.ravel(b.format.scale)] for sa in np.ravel(a.format.scale)])
    reals = found.acc * np.broadcast_to(units, (m, n))
    np.testing.assert_array_equal(found.real(), reals)
    out = np.full(found.acc.shape, np.nan, np.float32)
    assert found.real(out=out) is out
    np.testing.assert_array_equal(out, reals.astype(np.float32))


@pytest.mark.parametrize("threads", [1, 2])
def test_large_results(threads: int) -> None:
    """Kernels of their own for what is wide, in blocks of columns, and NumPy for what is small."""
    random = np.random.RandomState(0)
    before = pq.get_num_threads()
    try:
        pq.set_num_threads(threads)
        for lead, axis in (((), -1), ((5,), -1), ((5,), -2)):
            a = operand((*lead, 150, 7), -2 if axis == -2 else None, random)
            b = operand((*lead, 7, 333 if lead else 4099), -1 if axis == -1 else None, random)
            product = a @ b
            np.testing.assert_array_equal(product.real(), product.acc * product.scale)
            out = product.real(out=np.empty(product.acc.shape, np.float32))
            np.testing.assert_array_equal(out, (product.acc * product.scale).astype(np.float32))
            if lead:
                scales = np.exp2(random.randint(-9, 3, (5, 1, 333)) / 2)
                out = product.real(out=np.empty(product.acc.shape, np.float32), scales=scales)
                np.testing.assert_array_equal(out, (product.acc * scales).astype(np.float32))
    finally:
        pq.set_num_threads(before)


def test_scales_along_the_depth_are_refused() -> None:
    random = np.random.RandomState(0)
    plain_a, plain_b = operand((2, 3), None, random), operand((3, 2), None, random)
    for a, b, name, advice in (
        (operand((2, 3), -1, random), plain_b, "a", -2), (plain_a, operand((3, 2), -2, random), "b", -1),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"scale of {name} varies along the depth K .* axis={advice}; .* block"):
            pq.matmul(a, b, pq.Accumulator(32))


def test_a_trap_names_the_element() -> None:
    a = pq.QuantizedArray([[7, 7], [1, 1]], pq.Uniform(4, [1.0, 2.0], axis=-2))
    b = pq.QuantizedArray([[1, 7], [1, 7]], pq.Uniform(4, [1.0, 3.0], axis=-1))
    with pytest.raises(pq.AccumulatorOverflowError) as caught:
        pq.matmul(a, b, pq.Accumulator(6, "trap"))
    assert (caught.value.element, caught.value.step, caught.value.bits_needed) == ((0, 1), 0, 8)  # 49 and 98


def test_scales_whose_product_is_no_normal_number() -> None:
    a = pq.QuantizedArray([[1]], pq.Uniform(4, 1e-200))
    b = pq.QuantizedArray([[1, 1]], pq.Uniform(4, [1.0, 1e-200], axis=-1))
    with pytest.raises(ValueError, match=r"one unit of the product is .*, outside the normal range"):
        (a @ b).real()
    with pytest.raises(ValueError, match="beyond"):
        (a @ b).real(out=np.empty((1, 2), np.float32), scales=np.array([[1.0, 1e39]]))


@given(
    multiplier_bits=st.sampled_from([None, 8, 31]), rounding=st.sampled_from(["half_away", "half_even", "truncate"]),
    rows=st.booleans(), target=st.sampled_from([None, -1, -2]), seed=st.integers(0, 999),
)  # fmt: skip
def test_requantization_is_that_of_every_channel(
    multiplier_bits: int | None, rounding: str, rows: bool, target: int | None, seed: int
) -> None:
    random = np.random.RandomState(seed)
    acc, bias = random.randint(-5000, 5000, (2, 3, 4)), random.randint(-99, 99, 4)
    scale = np.exp2(random.randint(-9, -3, (3, 1) if rows else 4) + random.uniform(0, 1, (3, 1) if rows else 4))
    steps = 0.7 if target is None else random.uniform(0.5, 2, acc.shape[target])
    fmt = pq.Uniform(8, steps, axis=target)
    found = pq.requantize(acc, scale, fmt, rounding, multiplier_bits, bias)
    units, shown = np.broadcast_to(scale, (3, 4)), np.broadcast_to(fmt.steps, (3, 4))
    for index in np.ndindex(acc.shape):
        one = pq.Uniform(8, float(shown[index[1:]]))
        each = pq.requantize(acc[index], float(units[index[1:]]), one, rounding, multiplier_bits, bias[index[2]])
        assert found[index] == each
    assert found.dtype == np.uint8


@pytest.mark.parametrize(
    ("scale", "error", "message"),
    [
        ([1.0, 2.0, 3.0], ValueError, r"scale \(3,\) does not broadcast to acc \(2, 2\)"),
        ([[[1.0]]], ValueError, "does not broadcast"),
        ([1.0, -2.0], ValueError, "finite and positive everywhere, got values down to"),
        ([1.0, np.nan], ValueError, "finite and positive everywhere"),
        (["1", "2"], TypeError, "must be a real number, or an array of them"),
    ],
)
def test_scales_that_requantization_refuses(scale: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pq.requantize(np.ones((2, 2), np.int64), scale, pq.Uniform(8, 1.0))


def test_bounds_know_no_scales_but_the_row_sum() -> None:
    random = np.random.RandomState(0)
    a, b = operand((4, 6), None, random), operand((6, 5), -1, random)
    plain = pq.QuantizedArray(b.codes, b.format.unscaled())
    assert pq.bounds.weight_aware(a.format, b).bits == pq.bounds.weight_aware(a.format, plain).bits
    assert pq.required_bits(a.format, b.format, 6) == pq.required_bits(a.format, plain.format, 6)
    # Each row of probabilities has codes that sum to 1 / its own scale at most: the least scale counts.
    rows = pq.Uniform(8, [1 / 64, 1 / 16], axis=-2)
    expected = pq.bounds.row_stochastic(pq.Uniform(8, 1 / 64), plain, 6)
    assert pq.bounds.row_stochastic(rows, plain, 6) == expected
    with pytest.raises(ValueError, match="a unit knows no channels"):
        rtl.Unit(a.format, b.format, pq.Accumulator(16))


def test_a_factor_out_of_range_is_named_on_one_line() -> None:
    scales = [1.0] * 30 + [1e-300]
    with pytest.raises(
        ValueError, match=r"^a factor scale / number_format.scale = 1e-300 / 1e\+300 is outside .*$"
    ) as info:
        pq.requantize(np.ones((2, 31), np.int64), np.array(scales), pq.Uniform(8, [1.0] * 30 + [1e300], axis=-1))
    assert "\n" not in str(info.value)
