"""`TFLiteSoftmax` in Python integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ptqsim.units.reference import target
from ptqsim.units.reference.fixed_point import (
    SUM_INTEGER_BITS,
    divided,
    doubled_high,
    exp_of_negative,
    reciprocal_of_one_plus,
)

if TYPE_CHECKING:
    from ptqsim.units.protocol import Trace
    from ptqsim.units.softmax_units.tflite_softmax import TFLiteSoftmax


def trace(unit: TFLiteSoftmax, row: Sequence[int]) -> Trace:
    """Every value of one row, as reference_ops::Softmax of TFLite computes it, and the code."""
    peak = max(row)
    difference = [score - peak for score in row]
    kept = [max(d, unit.least_difference) for d in difference]  # what is below has an exponential of zero
    argument = [doubled_high(d << unit.left_shift, unit.multiplier) for d in kept]
    exponential = [
        exp_of_negative(a) if d >= unit.least_difference else 0 for a, d in zip(argument, difference, strict=True)
    ]
    total = sum(divided(e, SUM_INTEGER_BITS) for e in exponential)
    zeros = 32 - total.bit_length()
    excess = SUM_INTEGER_BITS - zeros  # the sum is 2**excess (1 + f)
    reciprocal = reciprocal_of_one_plus((total << zeros) - (1 << 31))
    probability = [doubled_high(reciprocal, e) for e in exponential]
    mantissa, shift = unit.gain
    scaled = [p * mantissa for p in probability]
    codes = [target.shifted(value, 31 + excess + shift, unit.out_format) for value in scaled]
    return {
        "peak": peak,
        "difference": difference,
        "argument": argument,
        "exponential": exponential,
        "total": total,
        "excess": excess,
        "reciprocal": reciprocal,
        "probability": probability,
        "scaled": scaled,
        "nudged": [one.nudged for one in codes],
        "rounded": [one.rounded for one in codes],
        "code": [one.code for one in codes],
    }
