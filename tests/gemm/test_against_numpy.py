"""Whole matrices against stepping in NumPy: sizes that fill and overhang the kernels' tiles, every machine type."""

from __future__ import annotations

import numpy as np
import pytest

import ptqsim as pq
from ptqsim.kernels.runtime import machine
from tests.oracle import stepping

ORDERS = [
    pq.Sequential(), pq.Tree(16), pq.Split(32, 15), pq.Split(32, 30), pq.Split(10, 12), pq.Split(2, 15, "saturate"),
    pq.Split(10, 12, "wrap"),
]  # fmt: skip

# Operands, and widths on both sides of what their sums need, so that every machine type is chosen.
UNIFORM = (pq.Uniform(8, 0.02), pq.Uniform(8, 0.02), [12, 16, 18, 19, 24])
WIDE = (pq.Uniform(16, 0.02), pq.Uniform(13, 0.02), [24, 25, 28, 31])
TWIN = (pq.TwinGELU(8, 8, 0.02), pq.Uniform(8, 0.02), [12, 20, 24, 26, 30])
HUGE = (pq.TwinSoftmax(12, 24), pq.Uniform(12, 0.02), [24, 40, 47, 49, 53])
WIDEST = (pq.TwinSoftmax(16, 25), pq.Uniform(16, 0.02), [40, 54, 56, 58, 60])


def arrays(
    a_format: pq.NumberFormat, b_format: pq.NumberFormat, shape: tuple[int, int, int], rng: np.random.Generator
) -> tuple[pq.QuantizedArray, pq.QuantizedArray]:
    rows, depth, columns = shape
    a = pq.QuantizedArray(rng.integers(0, a_format.code_count, (rows, depth)), a_format)
    return a, pq.QuantizedArray(rng.integers(0, b_format.code_count, (depth, columns)), b_format)


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize(
    "operands", [UNIFORM, WIDE, TWIN, HUGE, WIDEST], ids=["uniform", "wide", "twin", "huge", "widest"]
)
@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_result_and_statistics(
    operands: tuple[pq.NumberFormat, pq.NumberFormat, list[int]],
    overflow: str,
    order: pq.Sequential | pq.Tree | pq.Split,
    rng: np.random.Generator,
) -> None:
    a_format, b_format, widths = operands
    a, b = arrays(a_format, b_format, (23, 70, 300), rng)
    for bits in widths:
        accumulator = pq.Accumulator(bits, overflow, order)
        expected, events, (low, high) = stepping.run(a.aligned(), b.aligned(), accumulator)
        counted, plain = pq.matmul(a, b, accumulator), pq.matmul(a, b, accumulator, statistics=False)
        assert np.array_equal(counted.acc, expected), (bits, counted.kernel)
        assert np.array_equal(plain.acc, expected), (bits, plain.kernel)
        assert counted.exact == plain.exact == np.array_equal(expected, a.aligned() @ b.aligned())
        overflows = counted.overflow
        assert overflows is not None
        assert (overflows.outputs, overflows.events) == (np.count_nonzero(events), events.sum())
        assert (overflows.prefixes.lowest, overflows.prefixes.highest) == (low, high)
        if events.any():
            assert overflows.first is not None
            assert overflows.first.element == tuple(np.argwhere(events)[0])
        else:
            assert overflows.first is None


def test_every_kernel_ran(rng: np.random.Generator, exact_words: str | None) -> None:
    ran = set()
    for a_format, b_format, widths in (UNIFORM, WIDE, TWIN, HUGE, WIDEST):
        a, b = arrays(a_format, b_format, (23, 70, 300), rng)
        for bits in widths:
            for overflow in ("wrap", "saturate"):
                for statistics in (True, False):
                    ran |= set(pq.matmul(a, b, pq.Accumulator(bits, overflow), statistics).kernel.split("+"))
    expected = {"blas_float64", "saturate_float64", "saturate_int64", "wrap_int64", "integer_int64"}
    expected |= {exact_words or "blas_float32"}
    if machine.COMPILED:
        expected |= {"saturate_int16"}
    if machine.DOT:
        expected |= {"saturate_dot", "wrap_dot"}
    else:
        expected |= {"saturate_float32", "saturate_int32", "wrap_int32"}
    assert expected <= ran


@pytest.mark.parametrize(
    "bits", [*range(2, 10), *(pytest.param(bits, marks=pytest.mark.slow) for bits in (10, 11, 12))]
)
@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_every_register_value_meets_every_term(bits: int, overflow: str) -> None:
    # Depth 2: the first product puts any value into the register, the second is any term up to twice its range.
    half = 1 << (bits - 1)
    sixteen = pq.Uniform(16, 1.0)
    values = np.arange(-half, half)
    added = np.arange(-2 * half - 3, 2 * half + 4)
    a = pq.quantize(np.stack([values, np.ones_like(values)], axis=1), sixteen)
    b = pq.quantize(np.stack([np.ones_like(added), added]), sixteen)
    total = values[:, None] + added
    expected = stepping.bounded(total, bits, overflow)
    for statistics in (True, False):
        result = pq.matmul(a, b, pq.Accumulator(bits, overflow), statistics)
        assert np.array_equal(result.acc, expected)
    overflows = pq.matmul(a, b, pq.Accumulator(bits, overflow)).overflow
    assert overflows is not None
    assert overflows.events == np.count_nonzero(total != expected)


@pytest.mark.parametrize(
    "bits", [*range(2, 10), *(pytest.param(bits, marks=pytest.mark.slow) for bits in (10, 11, 12))]
)
def test_every_register_value_meets_every_term_within_its_range(bits: int) -> None:
    """Terms that still fit 16 bits when they are scaled as a register of `bits` bits that fills them."""
    half = 1 << (bits - 1)
    values = np.arange(1 - half, half)
    pairs = np.stack(np.meshgrid(values, values), axis=-1).reshape(-1, 2)
    a, b = pq.quantize(pairs, pq.Uniform(bits, 1.0)), pq.quantize(np.ones((2, 1)), pq.Uniform(2, 1.0))
    result = pq.matmul(a, b, pq.Accumulator(bits, "saturate"), statistics=False)
    assert np.array_equal(result.acc[:, 0], stepping.bounded(pairs.sum(axis=1), bits, "saturate"))
    assert "saturate_int16" in result.kernel or not machine.COMPILED


@pytest.mark.parametrize("shift", range(12))
def test_every_pair_of_twin_codes(shift: int) -> None:
    uniform, softmax, gelu = pq.Uniform(8, 0.1), pq.TwinSoftmax(8, shift), pq.TwinGELU(8, shift, 0.1)
    codes = np.arange(256, dtype=np.uint8)
    for a_format, b_format in ((softmax, uniform), (gelu, uniform), (softmax, gelu), (gelu, gelu)):
        a, b = pq.QuantizedArray(codes[:, None], a_format), pq.QuantizedArray(codes[None, :], b_format)
        products = np.multiply.outer(a.aligned(), b.aligned())[:, 0, 0, :]
        for alignment in ("product", "operand", "deferred"):
            result = pq.matmul(a, b, pq.Accumulator(40, alignment=alignment))
            assert np.array_equal(result.acc, products)
            assert result.exact
            assert result.scale == a_format.scale * b_format.scale
            assert np.array_equal(result.real(), products * result.scale)
            rounded = result.real(np.empty(products.shape, np.float32))
            assert np.array_equal(rounded, (products * result.scale).astype(np.float32))
            scales = np.linspace(0.1, 3.0, len(products))
            of_rows = products * scales[:, None]
            assert np.array_equal(result.real(scales=scales.tolist()), of_rows)
            assert np.array_equal(result.real(rounded, scales.tolist()), of_rows.astype(np.float32))
