"""Products of small floats: against rational arithmetic, the reference, and BLAS where that is exact."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

import ptqsim as pq

FLOATS = {name: getattr(pq, name) for name in ("E5M2", "E4M3", "E3M4", "E3M2", "E2M3", "E2M1")}
OTHERS: dict[str, pq.NumberFormat] = {
    "uniform": pq.Uniform(8, 0.1), "softmax": pq.TwinSoftmax(6, 4), "gelu": pq.TwinGELU(5, 3, 0.01), "log2": pq.Log2(4)
}  # fmt: skip
ORDERS = (pq.Sequential(), pq.Tree(4), pq.Split(5, 14))


def numbers(number_format: pq.NumberFormat, shape: tuple[int, ...], rng: np.random.Generator) -> pq.QuantizedArray:
    """Codes at random, infinity and NaN left out."""
    codes = np.arange(number_format.code_count)
    return pq.QuantizedArray(rng.choice(codes[number_format.is_number(codes)], shape), number_format)


def exact(a: pq.QuantizedArray, b: pq.QuantizedArray) -> list[list[Fraction]]:
    x, w = ([[Fraction(value) for value in row] for row in array.dequantize().tolist()] for array in (a, b.T))
    return [[sum((p * q for p, q in zip(row, column, strict=True)), Fraction(0)) for column in w] for row in x]


@pytest.mark.parametrize("a_name", FLOATS)
@pytest.mark.parametrize("b_name", [*FLOATS, *OTHERS])
def test_sums_are_those_of_rational_arithmetic(a_name: str, b_name: str, rng: np.random.Generator) -> None:
    """Product of the real values of the codes, without aligned values; a power-of-two scale keeps reals exact."""
    a_format = FLOATS[a_name].with_scale(0.25)
    b_format = FLOATS.get(b_name) or OTHERS[b_name]
    if b_name in ("uniform", "gelu"):
        b_format = b_format.with_scale(0.125)
    a, b = numbers(a_format, (3, 17), rng), numbers(b_format, (17, 4), rng)
    need = pq.required_bits(a_format, b_format, 17)
    if need > 63:
        assert (a_name, b_name) == ("E5M2", "E5M2")
        with pytest.raises(ValueError, match=f"could need {need} bits, and 63 are simulated"):
            pq.matmul(a, b, pq.Accumulator(63))
        return
    result = a @ b
    expected = exact(a, b)
    unit = Fraction(a_format.step) * Fraction(b_format.step)
    assert [[value * unit for value in row] for row in result.acc.tolist()] == expected
    assert Fraction(result.scale) == unit
    assert result.exact
    assert np.array_equal(result.dequantize(), [[float(value) for value in row] for row in expected])
    mirrored = (b.T @ a.T).acc
    assert np.array_equal(mirrored.T, result.acc)


def test_the_width_that_it_would_take() -> None:
    """(7 << 29)**2 = 49 << 58 is below 2**64, and K = 4 of them below 2**66: with a sign 67 bits."""
    assert pq.required_bits(pq.E5M2, pq.E5M2, 1) == 65
    assert pq.required_bits(pq.E5M2, pq.E5M2, 4) == 67
    assert pq.required_bits(pq.E4M3, pq.E4M3, 1 << 20) == 57  # (14 << 14)**2 = 196 << 28 < 2**36
    assert pq.bounds.datatype(pq.E4M3, pq.E2M1, 384).highest == 384 * (14 << 14) * (3 << 2)


@pytest.mark.parametrize("formats", list(product(("E4M3", "E3M2", "E2M1"), ("E4M3", "E2M3", "uniform", "softmax"))))
def test_registers_equal_the_reference(formats: tuple[str, str], rng: np.random.Generator) -> None:
    a_format, b_format = FLOATS[formats[0]], FLOATS.get(formats[1]) or OTHERS[formats[1]]
    a, b = numbers(a_format, (3, 13), rng), numbers(b_format, (13, 4), rng)
    need = pq.required_bits(a_format, b_format, 13)
    for bits, overflow, order, alignment in product(
        (need // 2, need - 5, need), ("wrap", "saturate", "trap"), ORDERS, ("product", "operand", "deferred")
    ):
        accumulator = pq.Accumulator(bits, overflow, order, alignment)
        trapped = None
        try:
            expected, statistics = pq.reference.matmul_with_statistics(a, b, accumulator)
        except pq.AccumulatorOverflowError as error:
            trapped = error.args
        if trapped is not None:
            with pytest.raises(pq.AccumulatorOverflowError) as raised:
                pq.matmul(a, b, accumulator)
            assert raised.value.args == trapped
            continue
        result = pq.matmul(a, b, accumulator)
        assert result.acc.tolist() == expected
        assert result.overflow == statistics
        assert np.array_equal(pq.matmul(a, b, accumulator, statistics=False).acc, expected)


@pytest.mark.parametrize("depth", [1, 64, 700])
@pytest.mark.parametrize("name", ["E4M3", "E3M4", "E3M2", "E2M3", "E2M1"])
def test_large_products_equal_float64(name: str, depth: int, rng: np.random.Generator) -> None:
    """Sums below 2**53 in units of the steps, which a float64 product of BLAS holds exactly."""
    a, b = numbers(FLOATS[name], (70, depth), rng), numbers(FLOATS[name], (depth, 90), rng)
    assert pq.required_bits(a.format, b.format, depth) <= 53
    assert np.array_equal((a @ b).dequantize(), a.dequantize() @ b.dequantize())
    batch = pq.QuantizedArray(np.stack([a.codes] * 3), a.format)
    assert np.array_equal((batch @ b).acc[2], (a @ b).acc)


@pytest.mark.parametrize("side", ["a", "b"])
def test_infinity_and_nan_are_refused(side: str) -> None:
    codes = np.zeros((3, 4), np.uint8)
    codes[1, 2], codes[2, 0] = 0xFC, 0x7D
    bad, good = pq.QuantizedArray(codes, pq.E5M2), pq.QuantizedArray(np.zeros((4, 3), np.uint8), pq.E2M1)
    first, second = (bad, good) if side == "a" else (good, bad)
    words = f"2 of 12 codes of {side} are infinity or NaN in E5M2, the first is 0xfc .-inf. at index .1, 2.; they have"
    with pytest.raises(ValueError, match=words):
        pq.matmul(first, second, pq.Accumulator(48))
    with pytest.raises(ValueError, match=words):
        first @ second
    with pytest.raises(ValueError, match="infinity or NaN"):
        pq.reference.matmul(first, second, pq.Accumulator(48))
    with pytest.raises(ValueError, match="codes of the weights are infinity or NaN"):
        pq.bounds.weight_aware(pq.E2M1, bad)


def test_formats_without_a_common_grid_are_refused() -> None:
    wide = pq.quantize([[1.0]], pq.Minifloat(8, 7))
    with pytest.raises(ValueError, match="aligned values of E8M7 take 262 bits"):
        wide @ wide


def test_weights_bound_the_sums(rng: np.random.Generator) -> None:
    weights = numbers(pq.E4M3, (50, 6), rng)
    bound = pq.bounds.weight_aware(pq.E2M1, weights)
    aligned = [[int(v) for v in row] for row in weights.aligned().T]
    assert bound.highest == 12 * max(sum(abs(v) for v in row) for row in aligned) == -bound.lowest
    assert bound.bits <= pq.required_bits(pq.E2M1, pq.E4M3, 50)
