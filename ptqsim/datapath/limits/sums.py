"""Least and greatest sums that one product can add to a register, by the place where zero points are subtracted."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

from ptqsim.datapath.spec import Alignment
from ptqsim.formats.base import GridRange, NumberFormat


class Side(NamedTuple):
    """One operand as a register sees it: least and greatest aligned value, zero included, and the zero point."""

    low: int
    high: int
    zero_point: int

    @property
    def integers(self) -> tuple[int, int]:
        """Least and greatest integer of a code, before the zero point is subtracted."""
        return self.low + self.zero_point, self.high + self.zero_point


def grid_ranges(number_format: NumberFormat, alignment: Alignment | str) -> tuple[GridRange, ...]:
    """The ranges of an operand, one for each register: its own if they are deferred, else one of all values."""
    if Alignment.of(alignment) == Alignment.DEFERRED:
        return number_format.ranges()
    return (GridRange(0, number_format.aligned_table()),)


def sides(number_format: NumberFormat, alignment: Alignment | str) -> list[Side]:
    """One for each register. Zero is a value of every format, so it is in the range of its integers less z too."""
    tables = [grid_range.mantissa for grid_range in grid_ranges(number_format, alignment)]
    return [Side(min(0, int(table.min())), max(0, int(table.max())), number_format.zero_point) for table in tables]


def of_one_product(a: Side, b: Side, corrected: bool, tile: bool) -> tuple[int, int]:
    """Least and greatest of what a product can have added to a register so far, zero included.

    Where zero points are corrected, that is its part -z_a * b of the constant from the preload on, the product A * B of
    integers beside it once it was added, and a * b after the rest. All are bilinear in a and b, so the extremes are at
    corners. A tile register sees A * B alone.
    """
    seen = [0]
    for x, w in product((a.low, a.high), (b.low, b.high)):
        integers = (x + a.zero_point) * (w + b.zero_point)
        constant = -a.zero_point * w
        if not corrected:
            seen.append(x * w)
        elif tile:
            seen.append(integers)
        else:
            seen += [constant, constant + integers, x * w]
    return min(seen), max(seen)
