"""`RunningSoftmax` in Python integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ptqsim.units.interval import half_up

if TYPE_CHECKING:
    from ptqsim.units.protocol import Trace
    from ptqsim.units.softmax_units.running_softmax import RunningSoftmax

MOST_HALVINGS = 62
"""Halvings of the sum, after which nothing is left of it."""


def exponentials(unit: RunningSoftmax, row: Sequence[int]) -> Trace:
    """Every value of one row up to its exponentials, and the sum of one pass."""
    fraction, most = unit.fraction_bits, unit.most_halvings
    product = [score * unit.multiplier.mantissa[0] for score in row]
    position = [half_up(p, unit.multiplier.shift[0]) for p in product]
    power = [-(-p >> fraction) for p in position]
    rest = [(w << fraction) - p for w, p in zip(power, position, strict=True)]
    part = unit.part or len(row)
    peak, total = max(power[:part]), 0
    for first in range(0, len(row), part):
        greater = max(peak, *power[first : first + part])
        total = half_up(total, min(greater - peak, MOST_HALVINGS))
        peak = greater
        for w, r in zip(power[first : first + part], rest[first : first + part], strict=True):
            total += half_up(unit.table[r], min(peak - w, most))
    halvings = [min(peak - w, most) for w in power]
    return {
        "product": product,
        "position": position,
        "power": power,
        "rest": rest,
        "peak": peak,
        "halvings": halvings,
        "exponential": [half_up(unit.table[r], k) for r, k in zip(rest, halvings, strict=True)],
        "total": total,
    }
