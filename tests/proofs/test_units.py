"""Theorems about integer units: codes are nearest, and no intermediate leaves its stated width.

The references of `ptqsim.units.reference` run on integers that are not known. What they have to equal is written as
inequalities about the exact quotient.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import z3

import ptqsim as pq
from ptqsim import units
from ptqsim.units import target as targets
from ptqsim.units.interval import Interval
from ptqsim.units.reference import target
from tests.proofs.symbolic import Integer, prove, refute, value

n = z3.Int("n")
GELU = pq.TwinGELU(8, 5, 0.01)
SOFTMAX = pq.TwinSoftmax(8, 6)
UNIFORM = pq.Uniform(8, 1.0)


def field(name: str, shift: int, number_format: Any) -> Any:
    return value(lambda: getattr(target.shifted(Integer(n), shift, number_format), name))


def nearest_up(result: Any, numerator: Any, divisor: int) -> Any:
    """`result` is the integer nearest to a quotient, a half up: -1/2 < result - n / d <= 1/2."""
    return z3.And(2 * result * divisor > 2 * numerator - divisor, 2 * result * divisor <= 2 * numerator + divisor)


@pytest.mark.parametrize("shift", [0, 1, 7, 26, 40])
def test_uniform_codes_are_the_nearest_values_of_the_format(shift: int) -> None:
    code = field("code", shift, UNIFORM)
    aligned = z3.If(code >= 128, code - 256, code)
    unit = 1 << shift
    prove(z3.And(code >= 0, code < 256))
    prove(nearest_up(aligned, n, unit), 2 * n >= -257 * unit, 2 * n < 255 * unit)
    prove(aligned == 127, 2 * n >= 253 * unit)
    prove(aligned == -128, 2 * n < -255 * unit)
    if shift:
        refute(z3.And(aligned * unit <= n, n < (aligned + 1) * unit), n > 0, n < unit)


@pytest.mark.parametrize("shift", [1, 7, 26])
def test_twin_softmax_codes(shift: int) -> None:
    code, unit = field("code", shift, SOFTMAX), 1 << shift
    magnitude, second = code % 128, code >= 128
    prove(nearest_up(magnitude, n, unit), z3.Not(second), n >= 0, 2 * n < 255 * unit)
    prove(nearest_up(magnitude, n, unit << 6), second, 2 * n < 255 * (unit << 6))
    prove(second == (n >= unit << 7), n >= 0)  # R2 from 2**-m on
    prove(code == 0, n <= 0)
    prove(code == 255, n >= 127 * (unit << 6))


@pytest.mark.parametrize("shift", [1, 7, 26])
def test_twin_gelu_codes(shift: int) -> None:
    code, unit = field("code", shift, GELU), 1 << shift
    magnitude, second = code % 128, code >= 128
    prove(nearest_up(magnitude, n, unit << 5), second, 2 * n < 255 * (unit << 5))
    prove(nearest_up(-magnitude, n, unit), z3.Not(second), n <= 0, 2 * n >= -255 * unit)
    prove(magnitude > 0, second)
    prove(n > 0, second)


@pytest.mark.parametrize("number_format", [UNIFORM, GELU, SOFTMAX], ids=lambda fmt: fmt.kind)
@pytest.mark.parametrize("shift", [0, 3, 26])
def test_widths_of_a_target_hold_for_every_numerator(number_format: Any, shift: int) -> None:
    for scaled in (Interval(-(2**31), 2**31 - 1), Interval(0, 2**20), Interval(-1000, -7)):
        inside = n >= scaled.lowest, n <= scaled.highest
        for name, width in targets.widths_of_shift(scaled, shift, number_format).items():
            found = field(name, shift, number_format)
            prove(z3.And(found >= width.lowest, found <= width.highest), *inside)
            if name == "code" and number_format is UNIFORM and shift == 3:
                refute(z3.And(found >= 0, found < width.highest), n >= -(2**31), n < 2**31)


def test_widths_of_rescale_and_residual_hold_for_every_input() -> None:
    """The references run on one channel that is not known, in the width that the unit states."""
    x, acc = z3.Int("x"), z3.Int("acc")
    rescale = units.Rescale(UNIFORM, units.Multiplier([181], [13]), (-300,), acc_bits=20)
    residual = units.ResidualAdd(pq.Uniform(12, 1.0), (256,), (-37,), 9, (11,), x_bits=12, acc_bits=20)
    for unit, given in ((rescale, (acc,)), (residual, (x, acc))):
        inside = []
        for symbol, one in zip(given, unit.inputs, strict=True):
            inside += [symbol >= -(1 << (one.bits - 1)), symbol < 1 << (one.bits - 1)]
        for name, width in unit.widths().items():
            found = value(lambda: unit._trace(*([Integer(symbol)] for symbol in given))[name][0])  # noqa: B023
            prove(z3.And(found >= width.lowest, found <= width.highest), *inside)
            if name in {"product", "branch", "total"}:
                # One bit less would not do.
                refute(z3.And(found >= width.lowest // 2, found <= width.highest // 2), *inside)


def test_the_error_of_the_reciprocal_root() -> None:
    """|r s / 2**(2 p - 1) - 1| < 2**-(p - 1), for the real root s of a radicand, from how m and r are made alone.

    m is the floor of s and r that of 2**(2 p - 1) / m. The error is linear in s, so that the ends m and m + 1 decide.
    """
    m, r = z3.Ints("m r")
    for precision in (4, 8, 16):
        power, half = 1 << (2 * precision - 1), 1 << (precision - 1)
        given = m >= half, m < 2 * half, r * m <= power, power < (r + 1) * m
        prove(r * (m + 1) * half <= power * (half + 1), *given)
        prove(r * m * half > power * (half - 1), *given)
        refute(r * (m + 1) * half <= power * half, *given)


def test_samuelson_bounds_the_normalized_value() -> None:
    """For three features: (N x - S)**2 <= (N - 1) (N Q - S**2), so that |z| <= sqrt(N - 1)."""
    x = z3.Ints("a b c")
    total, squares = sum(x), sum(value * value for value in x)
    prove((3 * x[0] - total) * (3 * x[0] - total) <= 2 * (3 * squares - total * total))
    refute((3 * x[0] - total) * (3 * x[0] - total) < 2 * (3 * squares - total * total))


FEATURES = (2, 3, 96, 384, 768, 1024)


def test_cauchy_schwarz_by_induction() -> None:
    """N Q >= S**2 for the sum S and the sum of squares Q of N values; one value more keeps it."""
    s, q, x = z3.Reals("s q x")
    for count in range(1, 1025):
        if count in (1, *FEATURES) or count < 64:
            prove((count + 1) * (q + x * x) >= (s + x) * (s + x), count * q >= s * s)
    refute(3 * (q + x * x) > (s + x) * (s + x), 2 * q >= s * s)


@pytest.mark.parametrize("features", FEATURES)
def test_samuelson_for_every_row(features: int) -> None:
    """(N x - S)**2 <= (N - 1) (N Q - S**2), where S and Q are x and x**2 and the sums over the other N - 1 values."""
    x, others, squares = z3.Reals("x others squares")
    total, of_squares = x + others, x * x + squares
    given = (features - 1) * squares >= others * others  # Cauchy and Schwarz for the others
    distance, variance = features * x - total, features * of_squares - total * total
    prove(distance * distance <= (features - 1) * variance, given)
    refute(distance * distance < (features - 1) * variance, given)


@pytest.mark.parametrize("features", FEATURES)
def test_the_variance_is_greatest_with_every_value_at_an_end(features: int) -> None:
    """N Q - S**2 <= floor(N / 2) ceil(N / 2) R**2: a value between the ends can move to one of them and lose nothing.

    With k values at the upper end and the others at the lower one it is k (N - k) R**2, as a constant changes nothing.
    """
    x, others, squares, span = z3.Reals("x others squares span")

    def variance(moved: Any) -> Any:
        return features * (moved * moved + squares) - (moved + others) * (moved + others)

    inside = x >= 0, x <= span
    prove(z3.Or(variance(x) <= variance(0), variance(x) <= variance(span)), *inside)
    refute(variance(x) <= variance(0), *inside)
    k = z3.Int("k")
    most = (features // 2) * (features - features // 2)
    prove(k * (features - k) <= most, k >= 0, k <= features)
    refute(k * (features - k) < most, k >= 0, k <= features)
    unit = units.LayerNorm.from_real(np.ones(features), 0.0, 1e-6, 2**-10, pq.Uniform(8, 0.03), x_bits=16)
    assert unit.widths()["variance"].highest == most * (2**16 - 1) ** 2 + unit.epsilon


@pytest.mark.parametrize("features", FEATURES)
def test_the_farthest_value_from_the_mean(features: int) -> None:
    """|N x - S| <= (N - 1) R, where every one of N values is between 0 and R."""
    x, others, span = z3.Reals("x others span")
    given = x >= 0, x <= span, others >= 0, others <= (features - 1) * span
    distance = features * x - (x + others)
    prove(z3.And(-(features - 1) * span <= distance, distance <= (features - 1) * span), *given)
    refute(distance < (features - 1) * span, *given)
