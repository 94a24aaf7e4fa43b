"""Softmaxes in an ONNX graph, over the last axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim import units
from ptqsim.ptq.onnx_export.integer.targets import code_by_quotient, code_by_shift
from ptqsim.ptq.onnx_export.integer.values import Value
from ptqsim.units.reference.fixed_point import (
    EXP_INTEGER_BITS,
    EXP_OF_EIGHTH,
    EXP_STEPS,
    FORTY_EIGHT_17THS,
    LEAST,
    MINUS_32_17THS,
    MOST,
    SUM_INTEGER_BITS,
    THIRD,
)


def softmax(unit: Any, inputs: list[Value], length: int) -> Value:
    """Codes of every formulation but TFLite's."""
    scores = inputs[0]
    distance = scores.greatest() - scores
    if isinstance(unit, units.Softmax):
        exponential = _base_two(unit, distance)
    elif isinstance(unit, units.Shiftmax):
        exponential = shift_exp(-distance, unit.inverse_step, unit.shift)
    elif isinstance(unit, units.IExpSoftmax):
        exponential = _i_exp(unit, distance)
    elif isinstance(unit, units.RunningSoftmax):
        return _divided(unit, *_running(unit, scores, length))
    elif isinstance(unit, units.ITASoftmax):
        exponential = _halved(unit, distance)
        return _divided(unit, exponential, _sum_of_parts(unit, scores, length))
    else:
        raise ValueError(f"a {type(unit).__name__} has no form in ONNX; take one of the units that ptqsim comes with")
    return _divided(unit, exponential, exponential.total())


def _divided(unit: Any, exponential: Value, total: Value) -> Value:
    mantissa, shift = unit.gain
    if unit.division.method == units.DivisionMethod.EXACT:
        scaled = exponential * (mantissa << max(0, -shift))
        return code_by_quotient(scaled, total * (1 << max(0, shift)), unit.out_format)
    reciprocal = total.graph.constant(1 << unit.division.bits).over(total)
    return code_by_shift(exponential * reciprocal * mantissa, unit.division.bits + shift, unit.out_format)


def _base_two(unit: units.Softmax, distance: Value) -> Value:
    fraction, last = len(unit.table).bit_length() - 1, (1 << unit.position_bits) - 1
    unbounded = (distance * unit.multiplier.mantissa[0]).half_up(unit.multiplier.shift[0])
    position = unbounded.least(last)
    halvings = position.over(1 << fraction).power()
    rounded = (position.masked(fraction).of(unit.table) + halvings.over(2)).over(halvings)
    return (position < last).where(rounded, 0)


def shift_exp(score: Value, inverse_step: int, shift: int) -> Value:
    """ShiftExp of I-ViT."""
    magnified = (score + score.down(2) - score.down(16)).most(-shift * inverse_step)
    far = (1 << 61) // inverse_step  # so that the quotient rounds down
    whole = (-magnified + far * inverse_step).over(inverse_step) - far
    rest = -magnified - whole * inverse_step
    return ((-rest).down(2) + inverse_step) * (shift - whole).power()


def _i_exp(unit: units.IExpSoftmax, distance: Value) -> Value:
    bounded = distance.least(unit.most_halvings * unit.ln2)
    whole = bounded.over(unit.ln2)
    base = whole * unit.ln2 - bounded + unit.vertex
    return (base * base + unit.constant).over(whole.power())


def _halvings(unit: units.ITASoftmax, distance: Value, most: int) -> Value:
    return (distance * unit.multiplier.mantissa[0]).half_up(unit.multiplier.shift[0]).least(most).power()


def _halved(unit: units.ITASoftmax, distance: Value) -> Value:
    one = distance.graph.constant(1 << unit.amplitude_bits)
    return one.over(_halvings(unit, distance, unit.amplitude_bits + 1))


def _sum_of_parts(unit: units.ITASoftmax, scores: Value, length: int) -> Value:
    """The sum of ITA, shifted whenever the greatest score so far rises."""
    size = unit.part or length
    peak: Value | None = None
    total: Value | None = None
    for first in range(0, length, size):
        part = scores.taken(-1, first, min(first + size, length))
        greater = part.greatest() if peak is None else part.greatest().most(peak)
        new = _halved(unit, greater - part).total()
        if peak is not None and total is not None:
            new = total.over(_halvings(unit, greater - peak, 62)) + new
        peak, total = greater, new
    assert total is not None
    return total


def _running(unit: units.RunningSoftmax, scores: Value, length: int) -> tuple[Value, Value]:
    """Exponentials and the sum, relative to a running maximum of whole powers of 2."""
    count, most = len(unit.table), unit.most_halvings
    position = (scores * unit.multiplier.mantissa[0]).half_up(unit.multiplier.shift[0])
    power = -(-position).down(count)
    entry = (power * count - position).of(unit.table)
    size = unit.part or length
    peak: Value | None = None
    total: Value | None = None
    for first in range(0, length, size):
        ends = first, min(first + size, length)
        part = power.taken(-1, *ends)
        greater = part.greatest() if peak is None else part.greatest().most(peak)
        new = _halved_up(entry.taken(-1, *ends), (greater - part).least(most)).total()
        if peak is not None and total is not None:
            new = _halved_up(total, (greater - peak).least(62)) + new
        peak, total = greater, new
    assert peak is not None
    assert total is not None
    return _halved_up(entry, (peak - power).least(most)), total


def _halved_up(value: Value, halvings: Value) -> Value:
    divisor = halvings.power()
    return (value + divisor.over(2)).over(divisor)


def tflite_softmax(unit: units.TFLiteSoftmax, inputs: list[Value], length: int) -> Value:
    """Codes of TFLite's reference kernel for int8."""
    scores = inputs[0]
    difference = scores - scores.greatest()
    kept = difference.most(unit.least_difference)
    exponential = _exp_of_negative(_doubled_high(kept * (1 << unit.left_shift), unit.multiplier))
    exponential = (difference < unit.least_difference).where(0, exponential)
    total = _divided_by_power(exponential, SUM_INTEGER_BITS).total()
    zeros = 32 - total.bit_length()
    reciprocal = _reciprocal_of_one_plus(total * zeros.power() - (1 << 31))
    mantissa, shift = unit.gain
    scaled = _doubled_high(reciprocal, exponential) * mantissa
    if 31 + shift < 0:
        raise ValueError(f"a TFLiteSoftmax to {unit.out_format.short()} has no form in ONNX; take a finer format")
    return code_by_shift(scaled, (31 + SUM_INTEGER_BITS + shift) - zeros, unit.out_format)


def _saturated(value: Value) -> Value:
    return value.most(LEAST).least(MOST)


def _doubled_high(a: Value, b: Value | int) -> Value:
    """SaturatingRoundingDoublingHighMul, whose last shift rounds toward zero."""
    product = a * b
    return (product + (product < 0).where(1 - (1 << 30), 1 << 30)).over(1 << 31)


def _divided_by_power(value: Value, exponent: int) -> Value:
    """RoundingDivideByPOT: a half away from zero."""
    half = (1 << exponent) >> 1
    return (value + (value < 0).where(-half, half)).over(1 << exponent)


def _exp_of_negative(a: Value) -> Value:
    quarter_bits = 31 - EXP_INTEGER_BITS - 2
    rest = a.masked(quarter_bits) - (1 << quarter_bits)
    x = rest * (1 << EXP_INTEGER_BITS) + (1 << 28)
    square = _doubled_high(x, x)
    fourth = _divided_by_power(_doubled_high(square, square), 2)
    tail = _divided_by_power(_doubled_high(fourth + _doubled_high(square, x), THIRD) + square, 1)
    result = _saturated(_doubled_high(x + tail, EXP_OF_EIGHTH) + EXP_OF_EIGHTH)
    remainder = rest - a
    for exponent, factor in EXP_STEPS:
        bit = remainder.graph.node("BitwiseAnd", remainder, np.array(1 << (31 - EXP_INTEGER_BITS + exponent)))
        result = (bit > 0).where(_doubled_high(result, factor), result)
    return (a < 0).where(result, MOST)


def _reciprocal_of_one_plus(a: Value) -> Value:
    half_denominator = (a + (1 << 31)).over(2)
    x = _saturated(_doubled_high(half_denominator, MINUS_32_17THS) + FORTY_EIGHT_17THS)
    for _ in range(3):
        missing = _saturated((1 << 29) - _doubled_high(half_denominator, x))
        x = _saturated(x + _saturated(_doubled_high(x, missing) * 4))
    return _saturated(x * 2)
