"""TFLite's softmax over rows of 8-bit scores, in gemmlowp's fixed-point arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels.runtime.jit import jit
from ptqsim.kernels.runtime.team import shared
from ptqsim.kernels.units.softmax import greatest
from ptqsim.kernels.units.target import encode_by_shift

MOST = (1 << 31) - 1


@jit
def saturated(value: int) -> int:
    """The 32-bit word nearest to an integer."""
    return min(max(value, -MOST - 1), MOST)


@jit
def doubled_high(a: int, b: int) -> int:
    """gemmlowp's SaturatingRoundingDoublingHighMul of two words that are not both the least."""
    product = a * b
    nudged = product + ((1 << 30) if product >= 0 else 1 - (1 << 30))
    return nudged >> 31 if nudged >= 0 else -(-nudged >> 31)


@jit
def divided(value: int, exponent: int) -> int:
    """gemmlowp's RoundingDivideByPOT."""
    half = (1 << exponent) >> 1
    return (value + half) >> exponent if value >= 0 else -((-value + half) >> exponent)


@jit
def exp_of_negative(a: int) -> int:
    """gemmlowp's exp_on_negative_values with 5 integer bits."""
    if a == 0:
        return MOST
    rest = (a & ((1 << 24) - 1)) - (1 << 24)
    x = (rest << 5) + (1 << 28)
    x2 = doubled_high(x, x)
    x3, x4 = doubled_high(x2, x), doubled_high(x2, x2)
    tail = divided(doubled_high(divided(x4, 2) + x3, 715827883) + x2, 1)
    result = saturated(1895147668 + doubled_high(1895147668, x + tail))
    remainder = rest - a
    result = doubled_high(result, 1672461947) if remainder & (1 << 24) else result
    result = doubled_high(result, 1302514674) if remainder & (1 << 25) else result
    result = doubled_high(result, 790015084) if remainder & (1 << 26) else result
    result = doubled_high(result, 290630308) if remainder & (1 << 27) else result
    result = doubled_high(result, 39332535) if remainder & (1 << 28) else result
    result = doubled_high(result, 720401) if remainder & (1 << 29) else result
    return doubled_high(result, 242) if remainder & (1 << 30) else result


@jit
def reciprocal_of_one_plus(a: int) -> int:
    """gemmlowp's one_over_one_plus_x_for_x_in_0_1."""
    half_denominator = (a + (1 << 31)) >> 1
    x = saturated(1515870810 + doubled_high(half_denominator, -1010580540))
    for _ in range(3):
        missing = saturated((1 << 29) - doubled_high(half_denominator, x))
        x = saturated(x + saturated(doubled_high(x, missing) << 2))
    return saturated(x << 1)


@jit
def softmax(
    start: int,
    stop: int,
    team: int,
    scores: Any,
    multiplier: int,
    left_shift: int,
    least: int,
    mantissa: int,
    shift: int,
    constants: Any,
    codes: Any,
) -> int:
    """Codes of the softmax of scores [R, n] by TFLite."""
    start = shared(start, stop, team)
    n = scores.shape[1]
    scaled, shifts = np.empty(n, np.int64), np.empty(n, np.int64)
    for row in range(start, stop):
        values = scores[row]
        peak, total = greatest(values), 0
        for j in range(n):
            difference = values[j] - peak
            exponential = 0
            if difference >= least:
                exponential = exp_of_negative(doubled_high(difference << left_shift, multiplier))
            scaled[j] = exponential
            total += divided(exponential, 12)
        zeros = 0
        while total << zeros < 1 << 31:
            zeros += 1
        reciprocal = reciprocal_of_one_plus((total << zeros) - (1 << 31))
        for j in range(n):
            scaled[j] = doubled_high(reciprocal, scaled[j]) * mantissa
        shifts[:] = 31 + (12 - zeros) + shift
        encode_by_shift(scaled, shifts, constants, codes[row])
    return 0
