"""Safe accumulator widths, and the bounds that prove them.

Every theorem here bounds the sum over *any subset* of one output's products. A prefix sum in whatever order, a group
of an adder tree and a tile of a split order are such sums, so one bound serves every register of the datapath.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from ptqsim.common.validation import checked_integer, checked_scale, checked_type
from ptqsim.datapath.bound import Bound as Bound
from ptqsim.datapath.spec import Accumulator, Alignment, bits_for
from ptqsim.datapath.statistics import OverflowStatistics
from ptqsim.errors import ArgumentTypeError
from ptqsim.formats.arrays.array import QuantizedArray
from ptqsim.formats.arrays.immutable import checked_anew
from ptqsim.formats.base import GridRange, NumberFormat
from ptqsim.formats.rounding import RangeChoice, RoundingMode
from ptqsim.formats.twin import TwinSoftmax
from ptqsim.formats.uniform import Uniform

MAX_DEPTH = (1 << 31) - 1


def required_bits(a_format: NumberFormat, b_format: NumberFormat, depth: int) -> int:
    """Signed accumulator bits that no codes of these formats can overflow, at depth K: `datatype` without the why."""
    return datatype(a_format, b_format, depth).bits


def datatype(
    a_format: NumberFormat, b_format: NumberFormat, depth: int, alignment: Alignment | str = Alignment.PRODUCT
) -> Bound:
    """Bound from the formats and the depth alone.

    A product lies in [p_min, p_max], the extremes over the corners of the two aligned ranges, and zero. A sum of up
    to K of them lies in [K * p_min, K * p_max], and both ends occur.

    Parameters
    ----------
    a_format, b_format : NumberFormat
        Shift-alignable formats.
    depth : int
        Number of products per output, K.
    alignment : Alignment or str
        An `Alignment`. With "deferred" the bound is that of the widest of the registers, which see no shift.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If the depth is negative, a format is not shift-alignable, or the alignment is unknown.
    """
    a_format = checked_anew("a_format", a_format, NumberFormat)
    b_format = checked_anew("b_format", b_format, NumberFormat)
    depth = checked_integer("depth", depth, 0, MAX_DEPTH)
    low = high = 0
    for (a_low, a_high), (b_low, b_high) in product(_extremes(a_format, alignment), _extremes(b_format, alignment)):
        corners = [x * w for x, w in product((a_low, a_high), (b_low, b_high))]
        low, high = min(low, *corners), max(high, *corners)
    why = f"up to {depth} products between {low} and {high} each"
    return Bound("datatype", "theorem", depth * low, depth * high, why)


def weight_aware(
    a_format: NumberFormat, weights: QuantizedArray, alignment: Alignment | str = Alignment.PRODUCT
) -> Bound:
    """Bound from one format and the known other operand.

    With W+ and W- the sums of the positive and of the negated negative aligned weights of one output, and a in
    [a_min, a_max] around zero, a sum is at most a_max * W+ - a_min * W- and at least a_min * W+ - a_max * W-. Both
    occur (on the whole column). For a one-signed operand, as after softmax, a_min = 0 and the signs are told apart.

    Parameters
    ----------
    a_format : NumberFormat
        Shift-alignable format of the left operand.
    weights : QuantizedArray
        The right operand, [..., K, N].
    alignment : Alignment or str
        An `Alignment`. With "deferred" the bound is that of the widest of the registers, which see no shift.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If a format is not shift-alignable, the weights have less than two dimensions, or the alignment is unknown.
    """
    a_format = checked_anew("a_format", a_format, NumberFormat)
    checked_type("weights", weights, QuantizedArray, "give the codes with their format")
    weights = QuantizedArray(weights.codes, weights.format)
    weights.format.check_numbers(weights.codes, "codes of the weights")
    if weights.ndim < 2:
        raise ValueError(f"weights must be [..., K, N], got the shape {weights.shape}")
    checked_integer("depth", weights.shape[-2], 0, MAX_DEPTH)
    lows, highs = [], []
    for grid_range in _registers(weights.format, alignment):
        values = grid_range.mantissa[weights.codes]
        positive, negative = _exact_sums(np.maximum(values, 0)), _exact_sums(np.maximum(-values, 0))
        for a_low, a_high in _extremes(a_format, alignment):
            highs.append(a_high * positive - a_low * negative)
            lows.append(a_low * positive - a_high * negative)
    low, high = np.minimum.reduce(lows), np.maximum.reduce(highs)
    per_output = np.array([bits_for(*pair) for pair in zip(low.flat, high.flat, strict=True)], np.int64)
    lowest, highest = min(low.flat, default=0), max(high.flat, default=0)
    why = (
        f"the weights of one output times activations of {a_format.aligned_min} .. {a_format.aligned_max} sum to "
        f"{lowest} .. {highest} at most"
    )
    return Bound("weight_aware", "theorem", int(lowest), int(highest), why, per_output.reshape(low.shape))


def _exact_sums(values: NDArray[np.int64]) -> NDArray[np.object_]:
    """Sums over K, the last axis but one, of values that are not negative: in Python integers.

    Aligned values take up to 48 bits and their sum up to 79. The halves of K < 2**31 of them, of 32 bits each, are
    summed in int64, which holds them.
    """
    low, high = (values & 0xFFFF_FFFF).sum(axis=-2), (values >> 32).sum(axis=-2)
    return np.asarray(high.astype(object) * (1 << 32) + low.astype(object), object)


def row_stochastic(
    a_format: NumberFormat, b: NumberFormat | QuantizedArray, depth: int, row_sum: float | None = None
) -> Bound:
    """Bound for softmax operands: the K reals of a row of the left operand are at least 0 and sum to at most 1.

    Let f(x) be the aligned value that x is encoded as, and F the least concave function above f with F(0) = 0. By
    Jensen's inequality sum f(x_l) <= sum F(x_l) <= K * F(row_sum / K) =: A, which is 1 / scale plus what the rounding
    of K values can add. As a is not negative, a sum of products lies between A * min(w, 0) and A * max(w, 0).

    Parameters
    ----------
    a_format : Uniform or TwinSoftmax
        Format of the left operand.
    b : NumberFormat or QuantizedArray
        The other operand, or its format if only that is known.
    depth : int
        Number of products per output, K.
    row_sum : float, optional
        What the reals of a row sum to at most. By default 1 + (K + 2) * 2**-23: twice what a softmax in float32 can be
        above 1, whose numerators are summed in any order and divided by that sum.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If `a_format` is of another kind, the depth is negative, or `row_sum` is not a finite positive number.
    """
    a_format = checked_anew("a_format", a_format, NumberFormat)
    if not isinstance(b, QuantizedArray):
        b = checked_anew("b", b, NumberFormat, "a QuantizedArray is legal, too")
    depth = checked_integer("depth", depth, 0, MAX_DEPTH)
    budget = (
        Fraction(1) + Fraction(depth + 2, 1 << 23) if row_sum is None else Fraction(checked_scale(row_sum, "row_sum"))
    )
    # A quotient and a scale that are rounded to float32 move a threshold by 2**-24 of its value each at most; with a
    # power-of-two scale both are exact. Together that is less than 2**-23, products of the two included: a threshold
    # of up to 2**15 half steps is no closer to a power of two from above than 2**-16 of its value.
    budget *= 1 + Fraction(1, 1 << 23)
    total = _greatest_aligned_sum(_thresholds(a_format), depth, 2 * budget / Fraction(a_format.scale))
    values = b.aligned() if isinstance(b, QuantizedArray) else b.aligned_table()
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    why = (
        f"{depth} values that sum to {float(budget):.6g} at most are encoded as aligned values that sum to {total} at "
        f"most, times {low} .. {high}"
    )
    return Bound("row_stochastic", "theorem", total * low, total * high, why)


def calibrated(*observed: OverflowStatistics) -> Bound:
    """The largest prefix sums that were seen: an observation, no theorem.

    Parameters
    ----------
    *observed : OverflowStatistics
        ``matmul(...).overflow`` of the products that were run on the calibration data, one or more.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If nothing is given, or statistics were switched off.
    """
    given: tuple[object, ...] = observed
    if not given or not all(isinstance(one, OverflowStatistics) for one in given):
        # Products without statistics have None.
        wrong_type = not all(one is None or isinstance(one, OverflowStatistics) for one in given)
        raise (ArgumentTypeError if wrong_type else ValueError)(
            "give the `overflow` of one or more products that were run with statistics=True"
        )
    lowest = min(one.prefixes.lowest for one in observed)
    highest = max(one.prefixes.highest for one in observed)
    why = f"exact prefix sums seen in {len(observed)} products on the data given"
    return Bound("calibrated", "observation", lowest, highest, why)


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


def _greatest_aligned_sum(points: list[tuple[int, int]], depth: int, budget: Fraction) -> int:
    """Floor of K * F(budget / K), with F the least concave function through zero above the rising `points`."""
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


def _extremes(number_format: NumberFormat, alignment: Alignment | str) -> list[tuple[int, int]]:
    """Least and greatest operand of every register, zero included."""
    tables = [grid_range.mantissa for grid_range in _registers(number_format, alignment)]
    return [(min(0, int(table.min())), max(0, int(table.max()))) for table in tables]


def _registers(number_format: NumberFormat, alignment: Alignment | str) -> tuple[GridRange, ...]:
    if Alignment.of(alignment) == Alignment.DEFERRED:
        return number_format.ranges()
    return (GridRange(0, number_format.aligned_table()),)


@lru_cache(maxsize=4096)
def result_bits(a_format: NumberFormat, b_format: NumberFormat, depth: int, accumulator: Accumulator) -> int:
    """Bits that the result of a datapath could need.

    With one register that is the exact sum, whatever the register holds of it. With deferred alignment the registers
    are shifted and summed, and one that overflowed can hold anything of its P bits.
    """
    if accumulator.alignment != Alignment.DEFERRED:
        return datatype(a_format, b_format, depth).bits
    low = high = 0
    for a_range, b_range in product(a_format.ranges(), b_format.ranges()):
        corners = [int(x) * int(w) for x, w in product(_ends(a_range), _ends(b_range))]
        own_low, own_high = depth * min(0, *corners), depth * max(0, *corners)
        if bits_for(own_low, own_high) > accumulator.bits:
            own_low, own_high = accumulator.minimum, accumulator.maximum
        low += own_low << (a_range.shift + b_range.shift)
        high += own_high << (a_range.shift + b_range.shift)
    return max(bits_for(low, high), datatype(a_format, b_format, depth, Alignment.DEFERRED).bits)


def _ends(grid_range: GridRange) -> tuple[int, int]:
    return int(grid_range.mantissa.min()), int(grid_range.mantissa.max())
