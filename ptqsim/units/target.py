"""Output grids of units: the way from an exact quotient n / d to the code of a format, as constants for kernels.

The quotient counts in units of `unit_scale`: the finest grid of the format, or 1 for `Log2`. `reference.target` defines
the result; a half is rounded toward positive infinity, except where a format takes the nearest of two ranges, in which
a half goes to the smaller magnitude.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ptqsim.common.validation import checked_type
from ptqsim.formats.arrays.immutable import reconstructed, seal
from ptqsim.formats.base import NumberFormat
from ptqsim.formats.log2 import Log2
from ptqsim.formats.rounding import RangeChoice
from ptqsim.formats.twin import TwinGELU, TwinSoftmax
from ptqsim.formats.uniform import Uniform
from ptqsim.units.interval import Interval

UNIFORM, TWIN_SOFTMAX, TWIN_SOFTMAX_NEAREST, TWIN_GELU, LOG2 = range(5)

LARGEST_LOG2_DIVISOR: Final = (1 << 31) - 1
"""Largest divisor d of a Log2 code: the square of its decision point, 2 d**2, then fits a machine word."""


def checked_target(number_format: object) -> NumberFormat:
    """An output format, if units can write its codes.

    Raises
    ------
    TypeError
        If it is no number format.
    ValueError
        If it is a format whose codes are no integers on one grid, such as PWLQ or one with a scale per channel, or a
        `Log2` of another root than 1.
    """
    given = reconstructed(checked_type("out_format", number_format, NumberFormat))
    if not isinstance(given, Uniform | TwinSoftmax | TwinGELU | Log2):
        raise ValueError(
            f"a unit writes Uniform, TwinSoftmax, TwinGELU or Log2 codes, got {type(given).__name__}; "
            "choose one of them, or encode the reals"
        )
    if given.axis is not None:
        raise ValueError(
            f"a unit writes codes of one scale, got {given.short()} with scales along axis {given.axis}; take one "
            "scale for all channels, or ptqsim.requantize, which takes a scale per channel"
        )
    if isinstance(given, Log2) and given.root != 1:
        raise ValueError(
            f"a unit writes Log2 codes of root 1, powers of 2, got root {given.root}; take ptqsim.Log2({given.bits}), "
            "or encode the reals"
        )
    return given


def unit_scale(number_format: NumberFormat) -> float:
    """Real value of a quotient of 1."""
    return 1.0 if isinstance(number_format, Log2) else number_format.scale


def kind_of(number_format: NumberFormat) -> int:
    """Number of the rule by which a quotient becomes a code."""
    if isinstance(number_format, TwinSoftmax):
        nearest = number_format.range_choice == RangeChoice.NEAREST
        return TWIN_SOFTMAX_NEAREST if nearest else TWIN_SOFTMAX
    if isinstance(number_format, TwinGELU):
        return TWIN_GELU
    return LOG2 if isinstance(number_format, Log2) else UNIFORM


def zero_point_of(number_format: NumberFormat) -> int:
    """The integer of a code minus its aligned value; 0 for formats without a zero point."""
    return int(getattr(number_format, "zero_point", 0))


@lru_cache(maxsize=256)
def kernel_constants(number_format: NumberFormat) -> NDArray[np.int64]:
    """Kind, least and greatest aligned value, zero point, k, m, and 1 where a positive half is rounded down."""
    kind = kind_of(number_format)
    low, high = (number_format.aligned_min, number_format.aligned_max) if kind == UNIFORM else (0, 0)
    down = int(getattr(number_format, "range_choice", None) == RangeChoice.NEAREST)
    constants = kind, low, high, zero_point_of(number_format), number_format.bits, number_format.shift, down
    return seal(np.array(constants, np.int64))


def widths_of_shift(scaled: Interval, shift: int, number_format: NumberFormat) -> dict[str, Interval]:
    """Intervals of what is named `nudged`, `rounded` and `code` in the reference, for a divisor of ``2**shift``."""
    if shift < 0:
        scaled, shift = Interval(scaled.lowest << -shift, scaled.highest << -shift), 0
    return _widths(scaled, Interval(1 << shift, 1 << shift), number_format, 0)


def widths_of_quotient(scaled: Interval, divisor: Interval, number_format: NumberFormat) -> dict[str, Interval]:
    """The same for a divisor that is any integer of an interval, and the numerator doubled before a half is added."""
    return _widths(scaled, divisor, number_format, 1)


def _widths(scaled: Interval, divisor: Interval, number_format: NumberFormat, doubled: int) -> dict[str, Interval]:
    kind, code = kind_of(number_format), Interval(0, number_format.code_count - 1)
    if kind == LOG2:
        if divisor.highest > LARGEST_LOG2_DIVISOR:
            raise ValueError(
                f"a Log2 code is decided by the square of a divisor, which may have 31 bits and needs "
                f"{divisor.highest.bit_length()}; take a narrower sum, a smaller shift, or another out_format"
            )
        last = number_format.code_count - 1
        powers = Interval(0, max(last, divisor.highest.bit_length()))
        return {"nudged": Interval(0, 2 * divisor.highest - 1), "rounded": powers, "code": code}
    low, high = (scaled.lowest, scaled.highest) if kind in (UNIFORM, TWIN_GELU) else (0, max(0, scaled.highest))
    half = 1 << (number_format.bits - 1)
    m = number_format.shift
    # Of a twin format, the divisor of R2 is 2**m times as large, and R1 takes at most 2**(k-1) times its divisor.
    widest = divisor.highest << m
    nudged = Interval((low << doubled) if low < 0 else 0, (high << doubled) + max(1, widest >> (1 - doubled)))
    rounded = Interval(_quotient(low, divisor.lowest), _quotient(high, divisor.lowest << m))
    if kind in (TWIN_SOFTMAX, TWIN_SOFTMAX_NEAREST):
        # The nearest range may be R1 for quotients above its top, but not from one step of R2 above it on.
        rounded = Interval(0, max(rounded.highest, half + (1 << m if kind == TWIN_SOFTMAX_NEAREST else 0)))
    if kind == TWIN_GELU:
        rounded = Interval(min(0, rounded.lowest), max(0, rounded.highest))
    return {"nudged": nudged, "rounded": rounded, "code": code}


def _quotient(numerator: int, divisor: int) -> int:
    return (2 * numerator + divisor) // (2 * divisor)
