"""Fixed-point arithmetic of gemmlowp (fixedpoint/fixedpoint.h) in Python integers: 32-bit words, saturating.

A word of I integer bits stands for ``word / 2**(31 - I)``. The product of words of I and J integer bits is a word of
I + J.
"""

from __future__ import annotations

from typing import Final

MOST: Final = (1 << 31) - 1
LEAST: Final = -(1 << 31)

EXP_STEPS: Final = (
    (-2, 1672461947), (-1, 1302514674), (0, 790015084), (1, 290630308), (2, 39332535), (3, 720401), (4, 242),
)  # fmt: skip
"""exp(-2**e) as a word of 0 integer bits, for the bits of an exponent."""

EXP_OF_EIGHTH: Final = 1895147668  # exp(-1/8)
THIRD: Final = 715827883  # 1/3
FORTY_EIGHT_17THS: Final = 1515870810  # 48/17, with 2 integer bits
MINUS_32_17THS: Final = -1010580540  # -32/17, with 2 integer bits

EXP_INTEGER_BITS: Final = 5
"""Integer bits of the argument of the exponential (kScaledDiffIntegerBits of TFLite)."""

SUM_INTEGER_BITS: Final = 12
"""Integer bits of the sum of exponentials (kAccumulationIntegerBits of TFLite)."""


def saturated(value: int) -> int:
    """The word nearest to an integer."""
    return min(max(value, LEAST), MOST)


def doubled_high(a: int, b: int) -> int:
    """SaturatingRoundingDoublingHighMul: a b / 2**31, rounded to nearest, a half toward positive infinity."""
    if a == b == LEAST:
        return MOST
    product = a * b
    nudged = product + ((1 << 30) if product >= 0 else 1 - (1 << 30))
    return nudged >> 31 if nudged >= 0 else -(-nudged >> 31)


def divided(value: int, exponent: int) -> int:
    """RoundingDivideByPOT: value / 2**exponent to nearest, a half away from zero."""
    half = (1 << exponent) >> 1
    return (value + half) >> exponent if value >= 0 else -((-value + half) >> exponent)


def exp_near_zero(a: int) -> int:
    """exp(a) for a word of 0 integer bits in [-1/4, 0): its Taylor series about -1/8, to the fourth power."""
    x = a + (1 << 28)
    x2 = doubled_high(x, x)
    x3, x4 = doubled_high(x2, x), doubled_high(x2, x2)
    tail = divided(doubled_high(divided(x4, 2) + x3, THIRD) + x2, 1)
    return saturated(EXP_OF_EIGHTH + doubled_high(EXP_OF_EIGHTH, x + tail))


def exp_of_negative(a: int) -> int:
    """exp(a) as a word of 0 integer bits, for a word of 5 integer bits that is 0 or negative."""
    if a == 0:
        return MOST
    quarter = 1 << (31 - EXP_INTEGER_BITS - 2)
    rest = (a & (quarter - 1)) - quarter
    result = exp_near_zero(saturated(rest << EXP_INTEGER_BITS))
    remainder = rest - a
    for exponent, factor in EXP_STEPS:
        if remainder & (1 << (31 - EXP_INTEGER_BITS + exponent)):
            result = doubled_high(result, factor)
    return result


def reciprocal_of_one_plus(a: int) -> int:
    """1 / (1 + a) as a word of 0 integer bits, for such a word from 0 on: three Newton-Raphson steps."""
    half_denominator = (a + (1 << 31)) >> 1
    x = saturated(FORTY_EIGHT_17THS + doubled_high(half_denominator, MINUS_32_17THS))
    for _ in range(3):
        missing = saturated((1 << 29) - doubled_high(half_denominator, x))
        x = saturated(x + saturated(doubled_high(x, missing) << 2))
    return saturated(x << 1)
