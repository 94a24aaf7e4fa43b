"""Softmax in Python integers: exponentials in base 2, and the division that every formulation ends with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from ptqsim.units.interval import half_up
from ptqsim.units.reference import target

if TYPE_CHECKING:
    from ptqsim.units.protocol import Trace
    from ptqsim.units.softmax_units.softmax import Softmax
    from ptqsim.units.softmax_units.softmax_unit import SoftmaxUnit


def trace(unit: SoftmaxUnit, row: Sequence[int]) -> Trace:
    """Every value of one row: what the formulation computes, and the division."""
    found = unit.exponentials(row)
    exponentials = cast("list[int]", found["exponential"])
    # A formulation whose sum is no plain sum gives it.
    total = cast("int", found.setdefault("total", sum(exponentials)))
    return found | divided(unit, exponentials, total)


def divided(unit: SoftmaxUnit, exponentials: Sequence[int], total: int) -> Trace:
    """Codes of the quotients of exponentials by their sum."""
    mantissa, shift = unit.gain  # e / E, in units of the step of the output
    values: Trace
    if unit.division.method == "exact":
        scaled = [e * mantissa << max(0, -shift) for e in exponentials]
        divisor = total << max(0, shift)
        codes = [target.encoded(value, divisor, unit.out_format, doubled=True) for value in scaled]
        values = {"scaled": scaled, "divisor": divisor}
    else:
        reciprocal = (1 << unit.division.bits) // total
        probability = [e * reciprocal for e in exponentials]
        scaled = [p * mantissa for p in probability]
        codes = [target.shifted(value, unit.division.bits + shift, unit.out_format) for value in scaled]
        values = {"reciprocal": reciprocal, "probability": probability, "scaled": scaled}
    return values | {
        "nudged": [one.nudged for one in codes],
        "rounded": [one.rounded for one in codes],
        "code": [one.code for one in codes],
    }


def base_two(unit: Softmax, row: Sequence[int]) -> Trace:
    """Exponentials as powers of 2, with a table of the fraction."""
    peak = max(row)
    last, fraction = (1 << unit.position_bits) - 1, unit.fraction_bits
    distance = [peak - score for score in row]
    product = [d * unit.multiplier.mantissa[0] for d in distance]
    unbounded = [half_up(p, unit.multiplier.shift[0]) for p in product]
    position = [min(last, one) for one in unbounded]  # -log2 of the exponential, in units of 1 / F
    # The last position stands for everything beyond it too, and its exponential is zero.
    exponential = [0 if t == last else half_up(unit.table[t & ((1 << fraction) - 1)], t >> fraction) for t in position]
    return {
        "peak": peak,
        "distance": distance,
        "product": product,
        "unbounded": unbounded,
        "position": position,
        "exponential": exponential,
    }
