"""The greatest sum of the aligned values of reals that sum to a given number, as those of a row after softmax do."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

from ptqsim.formats.base import NumberFormat
from ptqsim.formats.rounding import RangeChoice, RoundingMode
from ptqsim.formats.twin import TwinSoftmax
from ptqsim.formats.uniform import Uniform


def _thresholds(number_format: NumberFormat) -> list[tuple[int, int]]:
    """For every positive aligned value v the least x that is encoded as v, in half steps of the finest grid; rising."""
    if not isinstance(number_format, Uniform | TwinSoftmax):
        raise ValueError(
            f"the row-stochastic bound is for what follows a softmax, in Uniform or TwinSoftmax, not in "
            f"{type(number_format).__name__}; use datatype or weight_aware"
        )
    early = 0 if number_format.rounding == RoundingMode.TOWARD_ZERO else 1  # half a step before the grid point
    if isinstance(number_format, Uniform):
        return [(2 * v - early, v) for v in range(1, number_format.aligned_max + 1)]
    half, shift = 1 << (number_format.bits - 1), number_format.shift
    if number_format.range_choice == RangeChoice.NEAREST:
        values = sorted({int(v) for v in number_format.aligned_table()})
        return [(before + v, v) for before, v in pairwise(values)]
    first = [(2 * v - early, v) for v in range(1, half)]
    # Eq. 4: R2 starts at 2**-m, that is at 2 * half half steps of R1.
    second = [(max((2 * v - early) << shift, 2 * half), v << shift) for v in range(1, half)]
    return first + [(x, v) for x, v in second if v >= half]


def greatest_aligned_sum(number_format: NumberFormat, depth: int, budget: Fraction) -> int:
    """Floor of K * F(budget / K), with F the least concave function through zero above the encoder of a format.

    The budget is in half steps of the finest grid.
    """
    points = _thresholds(number_format)
    if not depth:
        return 0
    hull: list[tuple[int, int]] = [(0, 0)]
    for x, v in points:
        while hull[-1][0] == x or (
            len(hull) > 1
            and (hull[-1][1] - hull[-2][1]) * (x - hull[-2][0]) <= (v - hull[-2][1]) * (hull[-1][0] - hull[-2][0])
        ):
            hull.pop()
        hull.append((x, v))
    mean = budget / depth
    for (x0, v0), (x1, v1) in pairwise(hull):
        if mean <= x1:
            return math.floor(depth * (v0 + (v1 - v0) * (mean - x0) / (x1 - x0)))
    return depth * hull[-1][1]
