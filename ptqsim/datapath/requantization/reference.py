"""The requantizer in plain Python integers, from the definition of each rounding."""

from __future__ import annotations

import math
from fractions import Fraction

from ptqsim.datapath.register import plain
from ptqsim.datapath.requantization.requantize import Requantizer, RequantizeRounding
from ptqsim.formats.arrays.immutable import checked_anew


def requantized(acc: int, requantizer: Requantizer) -> int:
    """round(acc * multiplier / 2**shift), whatever the width of the product."""
    acc, requantizer = plain(acc), checked_anew("requantizer", requantizer, Requantizer)
    if requantizer.rounding == RequantizeRounding.TFLITE_DOUBLE:
        return _in_two_roundings(acc, requantizer.multiplier, 31 - requantizer.shift)
    quotient = acc * requantizer.multiplier * Fraction(2) ** -requantizer.shift
    floor, half = math.floor(quotient), Fraction(1, 2)
    if requantizer.rounding == RequantizeRounding.TRUNCATE:
        return floor
    if requantizer.rounding == RequantizeRounding.TOWARD_ZERO:
        return math.trunc(quotient)
    if quotient - floor != half:
        return math.floor(quotient + half)
    if requantizer.rounding == RequantizeRounding.HALF_AWAY:
        return floor if acc < 0 else floor + 1
    if requantizer.rounding == RequantizeRounding.HALF_EVEN:
        return floor + floor % 2
    return floor + 1


def _in_two_roundings(acc: int, multiplier: int, exponent: int) -> int:
    """As gemmlowp's fixedpoint.h writes it: SaturatingRoundingDoublingHighMul, then RoundingDivideByPOT."""
    product = (acc << max(0, exponent)) * multiplier
    nudge = 1 << 30 if product >= 0 else 1 - (1 << 30)
    high = math.trunc(Fraction(product + nudge, 1 << 31))
    mask = (1 << max(0, -exponent)) - 1
    threshold = (mask >> 1) + (1 if high < 0 else 0)
    return (high >> max(0, -exponent)) + (1 if high & mask > threshold else 0)
