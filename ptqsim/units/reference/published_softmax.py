"""Exponentials of published softmaxes in Python integers: I-ViT, I-BERT and ITA."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ptqsim.units.interval import half_up
from ptqsim.units.reference.shift_exp import shift_exp

if TYPE_CHECKING:
    from ptqsim.units.protocol import Trace
    from ptqsim.units.softmax_units.i_exp_softmax import IExpSoftmax
    from ptqsim.units.softmax_units.ita_softmax import ITASoftmax
    from ptqsim.units.softmax_units.shiftmax import Shiftmax


def shiftmax(unit: Shiftmax, row: Sequence[int]) -> Trace:
    """I-ViT, section 3.3, Algorithm 1: ShiftExp of the distances to the greatest score."""
    peak = max(row)
    distance = [peak - score for score in row]
    found = [shift_exp(-d, unit.inverse_step, unit.shift) for d in distance]
    return {
        "peak": peak,
        "distance": distance,
        "magnified": [one.magnified for one in found],
        "whole": [one.whole for one in found],
        "rest": [one.rest for one in found],
        "mantissa": [one.mantissa for one in found],
        "exponential": [one.exponential for one in found],
    }


def i_exp(unit: IExpSoftmax, row: Sequence[int]) -> Trace:
    """I-BERT, section 3.5, Algorithm 3: a square for the fraction of ln 2, and a shift for the rest."""
    peak = max(row)
    distance = [peak - score for score in row]
    bounded = [min(d, unit.most_halvings * unit.ln2) for d in distance]
    whole = [d // unit.ln2 for d in bounded]
    rest = [z * unit.ln2 - d for z, d in zip(whole, bounded, strict=True)]  # from -ln2, excluded, to 0
    polynomial = [(r + unit.vertex) ** 2 + unit.constant for r in rest]
    return {
        "peak": peak,
        "distance": distance,
        "bounded": bounded,
        "whole": whole,
        "rest": rest,
        "polynomial": polynomial,
        "exponential": [value >> z for value, z in zip(polynomial, whole, strict=True)],
    }


def ita(unit: ITASoftmax, row: Sequence[int]) -> Trace:
    """ITA: powers of two, and a sum that is shifted whenever a part of the row has a greater score than all before."""
    mantissa, shift = unit.multiplier.mantissa[0], unit.multiplier.shift[0]
    one = 1 << unit.amplitude_bits

    def halvings(distance: int) -> int:
        return min(half_up(distance * mantissa, shift), unit.amplitude_bits + 1)

    part = unit.part or len(row)
    peak, total = max(row[:part]), 0
    for first in range(0, len(row), part):
        scores = row[first : first + part]
        greater = max(peak, *scores)
        total >>= min(half_up((greater - peak) * mantissa, shift), 62)
        peak = greater
        total += sum(one >> halvings(peak - score) for score in scores)
    distance = [peak - score for score in row]
    power = [halvings(d) for d in distance]
    return {
        "peak": peak,
        "distance": distance,
        "product": [d * mantissa for d in distance],
        "unbounded": [half_up(d * mantissa, shift) for d in distance],
        "power": power,
        "exponential": [one >> halving for halving in power],
        "total": total,
    }
