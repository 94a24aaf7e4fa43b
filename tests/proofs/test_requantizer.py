"""Theorem: the requantizer's shifts and masks are the roundings that they are named after.

The code of `ptqsim.datapath.requantization.requantize` runs on an accumulator (or product) that is not known. What it
has to equal is written as inequalities about the exact quotient v / 2**s, and for TFLite's as gemmlowp's C code writes
it.
"""

from __future__ import annotations

from typing import Any

import pytest
import z3

from ptqsim.datapath.requantization import requantize
from ptqsim.datapath.requantization.requantize import RequantizeRounding
from tests.proofs import symbolic
from tests.proofs.symbolic import Integer, prove, refute, value

SHIFTS = range(1, 95)
v = z3.Int("v")


def nearest(result: Any, unit: int, tie: Any) -> Any:
    """Within half a step of v / unit; exactly half a step away only where `tie` allows it."""
    twice = 2 * (v - result * unit)  # twice the error, in units of 1 / unit
    return z3.And(-unit <= twice, twice <= unit, z3.Implies(z3.Or(twice == unit, twice == -unit), tie(twice)))


SPECIFIED = {
    "half_away": lambda r, unit: nearest(r, unit, lambda twice: z3.If(v < 0, twice == unit, twice == -unit)),
    "half_even": lambda r, unit: nearest(r, unit, lambda twice: r % 2 == 0),
    "half_up": lambda r, unit: nearest(r, unit, lambda twice: twice == -unit),
    "tflite_single": lambda r, unit: r == (v + unit // 2) / unit,  # add half, then shift right: z3 rounds down
    "truncate": lambda r, unit: z3.And(r * unit <= v, v < (r + 1) * unit),
    "toward_zero": lambda r, unit: z3.And(
        z3.Implies(v >= 0, z3.And(r * unit <= v, v < (r + 1) * unit)),
        z3.Implies(v < 0, z3.And((r - 1) * unit < v, v <= r * unit)),
    ),
}
ANOTHER = {
    "half_away": "half_up", "half_even": "half_away", "half_up": "half_even", "tflite_single": "half_even",
    "truncate": "toward_zero", "toward_zero": "truncate",
}  # fmt: skip


def shifted(shift: int, rounding: str) -> Any:
    return value(lambda: requantize._shifted(Integer(v), shift, RequantizeRounding(rounding)))  # type: ignore[arg-type]


@pytest.mark.parametrize("rounding", SPECIFIED)
def test_every_rounding_of_every_integer_by_every_shift(rounding: str) -> None:
    for shift in SHIFTS:
        unit = 1 << shift
        prove(SPECIFIED[rounding](shifted(shift, rounding), unit))
        refute(SPECIFIED[rounding](shifted(shift, ANOTHER[rounding]), unit))
    for shift in range(-32, 1):
        prove(shifted(shift, rounding) == v * 2**-shift)


def test_nothing_leaves_the_machine_word() -> None:
    """Below 2**62, which `apply` demands of what it leaves in int64, every value on the way fits 64 bits."""
    for rounding in SPECIFIED:
        for shift in range(1, 63):
            result = shifted(shift, rounding)
            on_the_way = [term for term in symbolic.seen if not z3.is_int_value(term)] + [result]
            within = z3.And([z3.And(term >= -(2**63), term < 2**63) for term in on_the_way])
            prove(within, v > -(2**62), v < 2**62)
        refute(within, v > -(2**64), v < 2**64)


# --- gemmlowp's fixedpoint.h, in C's arithmetic -----------------------------------------------------------------------


def c_quotient(dividend: Any, divisor: int) -> Any:
    """C divides toward zero."""
    return z3.If(dividend >= 0, dividend / divisor, -(-dividend / divisor))


def saturating_rounding_doubling_high_mul(product: Any) -> Any:
    nudge = z3.If(product >= 0, z3.IntVal(1 << 30), z3.IntVal(1 - (1 << 30)))
    return c_quotient(product + nudge, 1 << 31)


def rounding_divide_by_pot(x: Any, exponent: int) -> Any:
    mask = (1 << exponent) - 1
    threshold = (mask >> 1) + z3.If(x < 0, z3.IntVal(1), z3.IntVal(0))
    return x / (1 << exponent) + z3.If(x % (mask + 1) > threshold, z3.IntVal(1), z3.IntVal(0))


def test_the_high_half_of_a_doubled_product() -> None:
    """For every product of two integers, whatever their signs."""
    prove(shifted(31, "half_up") == saturating_rounding_doubling_high_mul(v))
    refute(shifted(31, "half_away") == saturating_rounding_doubling_high_mul(v))


def test_the_rest_of_the_shift() -> None:
    for exponent in range(1, 64):
        prove(shifted(exponent, "half_away") == rounding_divide_by_pot(v, exponent))
        refute(shifted(exponent, "half_up") == rounding_divide_by_pot(v, exponent))


@pytest.mark.parametrize("multiplier", [1 << 30, (1 << 31) - 1, 1_518_500_250, 1_234_567_891])
def test_the_whole_unit_of_two_roundings(multiplier: int) -> None:
    """Every accumulator of 32 bits, for these multipliers and every shift."""
    for shift in range(25, 95):
        exponent = 31 - shift
        left, right = max(0, exponent), max(0, -exponent)
        fits = z3.And(v * 2**left >= -(2**31), v * 2**left < 2**31)
        result = value(lambda: requantize._rounded_twice(Integer(v) << left, multiplier, right))  # type: ignore[arg-type]  # noqa: B023
        high = saturating_rounding_doubling_high_mul(v * 2 ** max(0, exponent) * multiplier)
        expected = rounding_divide_by_pot(high, max(0, -exponent))
        prove(result == expected, fits)
        if 31 < shift < 60:
            single = value(lambda: requantize._shifted(Integer(v) * multiplier, shift, "half_up"))  # type: ignore[arg-type]  # noqa: B023
            refute(single == expected, fits)
