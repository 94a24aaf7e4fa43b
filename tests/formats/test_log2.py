from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import ptqsim as pq


def expected_code(x: float, bits: int, toward_zero: bool) -> int:
    """From exact comparisons of x and its square with powers of two."""
    zero = (1 << bits) - 1
    if x <= 0:
        return zero
    value, code = Fraction(x), 0
    if value >= 1:
        return 0
    while value < Fraction(1, 2 ** (code + 1)):  # 2**-(code + 1) <= x < 2**-code, and code <= -log2(x) <= code + 1
        code += 1
    if value == Fraction(1, 2 ** (code + 1)) or (not toward_zero and value**2 < Fraction(1, 2 ** (2 * code + 1))):
        code += 1
    return min(code, zero)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("rounding", ["half_even", "half_away", "half_up", "toward_zero"])
def test_encode_equals_exact_comparison(
    bits: int, rounding: str, dtype: type[np.floating], rng: np.random.Generator
) -> None:
    number_format = pq.Log2(bits, rounding)
    powers = 2.0 ** -np.arange(0, min(2**bits + 3, 120))
    middle = powers * np.sqrt(0.5)
    reals = np.concatenate([powers, middle, rng.random(100), [0.0, -0.5, 1.5, 3e38, 1e-45]]).astype(dtype)
    reals = np.concatenate([reals, np.nextafter(reals, dtype(np.inf)), np.nextafter(reals, dtype(-np.inf))])
    reals = reals[np.isfinite(reals)]
    codes = number_format.encode(reals)
    assert codes.dtype == np.uint8
    assert codes.tolist() == [expected_code(float(x), bits, rounding == "toward_zero") for x in reals]


@pytest.mark.parametrize("bits", range(2, 9))
def test_every_code(bits: int) -> None:
    number_format = pq.Log2(bits)
    codes = np.arange(1 << bits)
    reals = number_format.decode(codes)
    assert reals.tolist() == [2.0**-code for code in codes[:-1].tolist()] + [0.0]
    assert np.array_equal(number_format.encode(reals), codes)
    assert (number_format.real_min, number_format.real_max) == (0.0, 1.0)
    if bits <= 5:
        assert number_format.shift_alignable
        assert np.array_equal(number_format.align(codes) * number_format.scale, reals)
        assert number_format.align(codes).tolist() == [
            pq.reference.operand(code, number_format).aligned for code in codes.tolist()
        ]
    else:
        with pytest.raises(ValueError, match="a datapath takes Log2 of up to 5 bits"):
            number_format.align(codes)


def test_products(rng: np.random.Generator) -> None:
    log2, uniform = pq.Log2(4), pq.Uniform(8, 0.1)
    a = pq.QuantizedArray(rng.integers(0, 16, (5, 30)), log2)
    b = pq.QuantizedArray(rng.integers(0, 256, (30, 7)), uniform)
    for bits in (20, 30):
        for overflow in ("wrap", "saturate"):
            accumulator = pq.Accumulator(bits, overflow)
            assert pq.matmul(a, b, accumulator).acc.tolist() == pq.reference.matmul(a, b, accumulator)
    exact = pq.matmul(a, b, pq.Accumulator(40))
    assert np.allclose(exact.real(), a.real() @ b.real(), rtol=1e-12)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="bits must be an integer from 2 to 8"):
        pq.Log2(9)
    with pytest.raises(ValueError, match="1 of 2 values are NaN"):
        pq.Log2(4).encode([0.5, np.nan])
    with pytest.raises(ValueError, match="not integers on one grid"):
        pq.reference.operand(3, pq.Log2(6))
    assert pq.Log2(4).encode(0.25).tolist() == 2
