"""Requantizations of libraries against their definitions in exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptqsim.profiles import Method, Precision, Requantization

INT32 = st.integers(-(2**31), 2**31 - 1)
FACTORS = st.floats(2.0**-20, 0.999).filter(lambda value: value > 0)


def nearest_float32(exact: Fraction) -> Fraction:
    """The float32 nearest to a fraction of normal size, a half to the even one."""
    if not exact:
        return exact
    exponent = math.floor(math.log2(abs(exact))) - 23
    exponent += abs(exact) >= Fraction(2) ** (exponent + 24)
    exponent -= abs(exact) < Fraction(2) ** (exponent + 23)
    return round(exact / Fraction(2) ** exponent) * Fraction(2) ** exponent


def multiplier_of(factor: float) -> tuple[int, int]:
    """TFLite's QuantizeMultiplier: 31 bits, and the exponent."""
    mantissa, exponent = math.frexp(factor)
    multiplier = math.floor(Fraction(mantissa) * 2**31 + Fraction(1, 2))
    return (multiplier // 2, exponent + 1) if multiplier == 2**31 else (multiplier, exponent)


def away(value: Fraction) -> int:
    return math.floor(abs(value) + Fraction(1, 2)) * (1 if value >= 0 else -1)


def expected(method: str, acc: int, factor: float) -> int:
    """The definition of a method; factors are below 1."""
    multiplier, exponent = multiplier_of(factor)
    half = Fraction(1, 2)
    if method == "float64":
        return away(Fraction(float(acc) * factor))
    if method == "float32":
        product = nearest_float32(nearest_float32(Fraction(acc)) * nearest_float32(Fraction(factor)))
        return round(product)
    if method == "short":
        short = (multiplier + 2**15) >> 16 if multiplier < 0x7FFF0000 else 0x7FFF
        return math.floor(Fraction(acc * short) / 2 ** (15 - exponent) + half)
    high = math.floor(Fraction(acc * multiplier, 2**31) + half)
    second = Fraction(high) / 2**-exponent
    return math.floor(second + half) if method == "ruy" else away(second)


@pytest.mark.parametrize("method", [str(method) for method in Method])
@given(acc=st.lists(INT32, min_size=1, max_size=20), factor=FACTORS)
def test_every_method(method: str, acc: list[int], factor: float) -> None:
    unit = Requantization(method, "double")
    assert unit.apply(acc, factor).tolist() == [expected(method, value, factor) for value in acc]


@pytest.mark.parametrize("method", [str(method) for method in Method])
def test_ties_and_factors_per_channel(method: str) -> None:
    """A quarter of every small integer, in every channel with another power of two."""
    factors = np.array([2.0**-2, 2.0**-1, 2.0**-5])
    acc = np.repeat(np.arange(-70, 71)[:, None], 3, axis=1)
    found = Requantization(method, "double").apply(acc, factors)
    assert found.tolist() == [[expected(method, int(v), f) for v, f in zip(row, factors, strict=True)] for row in acc]


def test_a_multiplier_that_would_need_16_bits_is_cut() -> None:
    unit = Requantization("short", "double").units(1 - 2.0**-20)
    assert [one.multiplier for one in unit] == [0x7FFF]


def test_precisions_of_the_factor() -> None:
    a, b, out = 0.0193, 0.0071, 0.173
    single = [np.float32(value) for value in (a, b, out)]
    exact = [float(value) for value in single]
    expected = {
        "double": exact[0] * exact[1] / exact[2],
        "product": float(single[0] * single[1]) / exact[2],
        "single": float(single[0] * single[1] / single[2]),
    }
    assert len(set(expected.values())) == 3
    for precision in Precision:
        assert Requantization("ruy", precision).factor(a, b, out) == expected[precision]
    mixed = Requantization("ruy", "product", by_channel="double")
    assert mixed.factor(a, b, out) == expected["product"]
    assert mixed.factor(a, [b, b], out).tolist() == [expected["double"]] * 2
