"""Safe accumulator widths, and the bounds that prove them.

Every theorem here bounds the sum over *any subset* of one output's products. A prefix sum in whatever order, a group
of an adder tree and a tile of a split order are such sums, so one bound serves every register of the datapath.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ptqsim.common.validation import checked_integer, checked_scale, checked_type
from ptqsim.datapath.limits.bound import Bound as Bound
from ptqsim.datapath.limits.softmax_rows import greatest_aligned_sum
from ptqsim.datapath.limits.sums import grid_ranges, of_one_product, sides
from ptqsim.datapath.spec import Alignment, ZeroPoint, bits_for
from ptqsim.datapath.statistics import OverflowStatistics
from ptqsim.errors import ArgumentTypeError
from ptqsim.formats.array import QuantizedArray
from ptqsim.formats.arrays.immutable import checked_anew
from ptqsim.formats.base import NumberFormat

MAX_DEPTH = (1 << 31) - 1


def required_bits(a_format: NumberFormat, b_format: NumberFormat, depth: int) -> int:
    """Signed accumulator bits that no codes of these formats can overflow, at depth K: `datatype` without the why."""
    return datatype(a_format, b_format, depth).bits


def datatype(
    a_format: NumberFormat,
    b_format: NumberFormat,
    depth: int,
    alignment: Alignment | str = Alignment.PRODUCT,
    zero_point: ZeroPoint | str = ZeroPoint.OPERAND,
    tile: bool = False,
) -> Bound:
    """Bound from the formats and the depth alone.

    A product lies in [p_min, p_max], the extremes over the corners of the two aligned ranges, and zero. A sum of up
    to K of them lies in [K * p_min, K * p_max], and both ends occur. Where zero points are corrected, p_min and p_max
    are those of what one product can have added, with its share of the constant and of the rest.

    Parameters
    ----------
    a_format, b_format : NumberFormat
        Shift-alignable formats.
    depth : int
        Number of products per output, K.
    alignment : Alignment or str
        An `Alignment`. With "deferred" the bound is that of the widest of the registers, which see no shift.
    zero_point : ZeroPoint or str
        A `ZeroPoint`.
    tile : bool
        Whether the register is the tile register of a split order, into which no correction goes.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If the depth is negative, a format is not shift-alignable, or an alignment or zero point is unknown.
    """
    a_format = checked_anew("a_format", a_format, NumberFormat)
    b_format = checked_anew("b_format", b_format, NumberFormat)
    depth = checked_integer("depth", depth, 0, MAX_DEPTH)
    corrected = corrects(zero_point, a_format, b_format)
    ends = [
        of_one_product(a, b, corrected, tile)
        for a, b in product(sides(a_format, alignment), sides(b_format, alignment))
    ]
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    what = (
        "products" if not corrected else "products of uncorrected codes" if tile else "products with their corrections"
    )
    why = f"up to {depth} {what} between {low} and {high} each"
    return Bound("datatype", "theorem", depth * low, depth * high, why)


def weight_aware(
    a_format: NumberFormat,
    weights: QuantizedArray,
    alignment: Alignment | str = Alignment.PRODUCT,
    zero_point: ZeroPoint | str = ZeroPoint.OPERAND,
    tile: bool = False,
) -> Bound:
    """Bound from one format and the known other operand.

    With W+ and W- the sums of the positive and of the negated negative aligned weights of one output, and a in
    [a_min, a_max] around zero, a sum is at most a_max * W+ - a_min * W- and at least a_min * W+ - a_max * W-. Both
    occur (on the whole column). For a one-signed operand, as after softmax, a_min = 0 and the signs are told apart.
    Where zero points are corrected, the same holds of the integers of the codes around the constant, which is known,
    and at the end of the aligned values.

    Parameters
    ----------
    a_format : NumberFormat
        Shift-alignable format of the left operand.
    weights : QuantizedArray
        The right operand, [..., K, N].
    alignment, zero_point, tile : Alignment or str, ZeroPoint or str, and bool
        As for `datatype`.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If a format is not shift-alignable, the weights have less than two dimensions, or an alignment or zero point is
        unknown.
    """
    a_format = checked_anew("a_format", a_format, NumberFormat)
    checked_type("weights", weights, QuantizedArray, "give the codes with their format")
    weights = QuantizedArray(weights.codes, weights.format)
    weights.format.check_numbers(weights.codes, "codes of the weights")
    if weights.ndim < 2:
        raise ValueError(f"weights must be [..., K, N], got the shape {weights.shape}")
    checked_integer("depth", weights.shape[-2], 0, MAX_DEPTH)
    corrected, z_b = corrects(zero_point, a_format, weights.format), weights.format.zero_point
    lows: list[NDArray[np.object_]] = []
    highs: list[NDArray[np.object_]] = []
    for grid_range in grid_ranges(weights.format, alignment):
        values = grid_range.mantissa[weights.codes]
        for a in sides(a_format, alignment):
            if not corrected:
                seen = [_subset_sums(values, a.low, a.high)]
            elif tile:
                seen = [_subset_sums(values + z_b, *a.integers)]
            else:
                constant = -a.zero_point * (_exact_sums(np.maximum(values, 0)) - _exact_sums(np.maximum(-values, 0)))
                low, high = _subset_sums(values + z_b, *a.integers)
                zero = np.zeros_like(constant)
                seen = [(zero, zero), (constant + low, constant + high), _subset_sums(values, a.low, a.high)]
            lows += [low for low, _ in seen]
            highs += [high for _, high in seen]
    low, high = np.minimum.reduce(lows), np.maximum.reduce(highs)
    per_output = np.array([bits_for(*pair) for pair in zip(low.flat, high.flat, strict=True)], np.int64)
    lowest, highest = min(low.flat, default=0), max(high.flat, default=0)
    why = (
        f"the weights of one output times activations of {a_format.aligned_min} .. {a_format.aligned_max} sum to "
        f"{lowest} .. {highest} at most"
    )
    return Bound("weight_aware", "theorem", int(lowest), int(highest), why, per_output.reshape(low.shape))


def _subset_sums(values: NDArray[np.int64], low: int, high: int) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Least and greatest sum over a subset of each column of `values`, each times a factor from `low` to `high`."""
    positive, negative = _exact_sums(np.maximum(values, 0)), _exact_sums(np.maximum(-values, 0))
    least, greatest = min(0, low), max(0, high)
    return least * positive - greatest * negative, greatest * positive - least * negative


def corrects(zero_point: ZeroPoint | str, *formats: NumberFormat) -> bool:
    """True if zero points are corrected, and there are any."""
    corrects = ZeroPoint.of(zero_point) == ZeroPoint.CORRECTION
    return corrects and any(number_format.zero_point for number_format in formats)


def _exact_sums(values: NDArray[np.int64]) -> NDArray[np.object_]:
    """Sums over K, the last axis but one, of values that are not negative: in Python integers.

    Aligned values take up to 48 bits and their sum up to 79. The halves of K < 2**31 of them, of 32 bits each, are
    summed in int64, which holds them.
    """
    low, high = (values & 0xFFFF_FFFF).sum(axis=-2), (values >> 32).sum(axis=-2)
    return np.asarray(high.astype(object) * (1 << 32) + low.astype(object), object)


def row_stochastic(
    a_format: NumberFormat,
    b: NumberFormat | QuantizedArray,
    depth: int,
    row_sum: float | None = None,
    zero_point: ZeroPoint | str = ZeroPoint.OPERAND,
    tile: bool = False,
) -> Bound:
    """Bound for softmax operands: the K reals of a row of the left operand are at least 0 and sum to at most 1.

    Let f(x) be the aligned value that x is encoded as, and F the least concave function above f with F(0) = 0. By
    Jensen's inequality sum f(x_l) <= sum F(x_l) <= K * F(row_sum / K) =: A, which is 1 / scale plus what the rounding
    of K values can add. As a is not negative, a sum of products lies between A * min(w, 0) and A * max(w, 0). Where
    zero points are corrected, a sum of products of integers is one of a * W, for which the same holds, and of z_a * W,
    and the constant is added; each is bounded by itself.

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
    zero_point : ZeroPoint or str
        A `ZeroPoint`.
    tile : bool
        Whether the register is the tile register of a split order, into which no correction goes.

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
    # Rows with scales of their own: the least scale gives the greatest codes.
    total = greatest_aligned_sum(a_format, depth, 2 * budget / Fraction(float(np.min(a_format.scale))))
    values = b.aligned() if isinstance(b, QuantizedArray) else b.aligned_table()
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    why = (
        f"{depth} values that sum to {float(budget):.6g} at most are encoded as aligned values that sum to {total} at "
        f"most, times {low} .. {high}"
    )
    b_format = b.format if isinstance(b, QuantizedArray) else b
    lowest, highest = total * low, total * high
    if corrects(zero_point, a_format, b_format):
        z_a, z_b = a_format.zero_point, b_format.zero_point
        least, greatest = min(0, low + z_b), max(0, high + z_b)
        # Of one product: z_a * W once it was added; and -z_a * w of the constant from the preload on.
        before = [0] if tile else [-z_a * low, -z_a * high]
        added = [0, z_a * least, z_a * greatest] if tile else [*before, z_a * z_b]
        own = [0, *before, *added]
        ends = total * least + depth * min(own), total * greatest + depth * max(own)
        lowest, highest = ends if tile else (min(lowest, ends[0]), max(highest, ends[1]))
        why += f", with zero points of {z_a} and {z_b} corrected"
    return Bound("row_stochastic", "theorem", lowest, highest, why)


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
