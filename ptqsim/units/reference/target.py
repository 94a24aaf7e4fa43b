"""The definition of an output code: a format's grid and an exact quotient, in Python integers.

Every function gives three named values: `nudged`, the numerator with the half that rounds it; `rounded`, the integer
before it is clamped; and `code`.
"""

from __future__ import annotations

from math import isqrt
from typing import NamedTuple

from ptqsim.formats.base import NumberFormat
from ptqsim.formats.log2 import Log2
from ptqsim.formats.rounding import RangeChoice
from ptqsim.formats.twin import TwinGELU, TwinSoftmax


class Encoded(NamedTuple):
    """A code and the two integers on the way to it."""

    nudged: int
    rounded: int
    code: int


def encoded(numerator: int, divisor: int, number_format: NumberFormat, doubled: bool) -> Encoded:
    """The code of ``numerator / divisor``.

    Parameters
    ----------
    numerator : int
        Any integer.
    divisor : int
        Positive.
    number_format : NumberFormat
        `Uniform`, `TwinSoftmax`, `TwinGELU` or `Log2`; the quotient is in units of its finest grid, for `Log2` of 1.
    doubled : bool
        True for ``(2 n + d) // (2 d)``; False for a divisor that is a power of two, ``(n + d / 2) >> log2(d)``. Both
        round alike, and differ in what is called `nudged`.
    """
    n, d = numerator, divisor
    top, flag = (1 << (number_format.bits - 1)) - 1, 1 << (number_format.bits - 1)
    if isinstance(number_format, Log2):
        return _power(n, d, number_format.code_count - 1)
    if isinstance(number_format, TwinSoftmax):
        n = max(n, 0)
        if number_format.range_choice == RangeChoice.NEAREST:
            fine = _round(n, d, doubled, down=True)
            coarse = _round(n, d << number_format.shift, doubled, down=True)
            r1, r2 = min(top, fine[1]), min(top, coarse[1])
            nearer = abs(n - d * (r2 << number_format.shift)) < abs(n - d * r1)
            return Encoded(*coarse, flag + r2) if nearer else Encoded(*fine, r1)
        second = n >= d << (number_format.bits - 1)  # a real of 2**-m, where R2 begins (Eq. 4)
        nudged, rounded = _round(n, d << number_format.shift if second else d, doubled)
        magnitude = min(top, rounded)
        # R1 has the canonical code of values of both ranges: of zero, and of all where the ranges are one (m = 0).
        shared = magnitude <= top >> number_format.shift
        return Encoded(nudged, rounded, flag + magnitude if second and not shared else magnitude)
    if isinstance(number_format, TwinGELU):
        down = number_format.range_choice == RangeChoice.NEAREST and n >= 0
        nudged, rounded = _round(n, d << number_format.shift if n >= 0 else d, doubled, down)
        magnitude = min(top, max(rounded, -rounded))
        return Encoded(nudged, rounded, flag + magnitude if rounded > 0 else magnitude)
    nudged, rounded = _round(n, d, doubled)
    aligned = min(max(rounded, number_format.aligned_min), number_format.aligned_max)
    integer = aligned + int(getattr(number_format, "zero_point", 0))
    return Encoded(nudged, rounded, integer % number_format.code_count)


def shifted(numerator: int, shift: int, number_format: NumberFormat) -> Encoded:
    """The code of ``numerator / 2**shift``; a negative shift is to the left."""
    if shift < 0:
        numerator, shift = numerator << -shift, 0
    return encoded(numerator, 1 << shift, number_format, doubled=False)


def _round(n: int, d: int, doubled: bool, down: bool = False) -> tuple[int, int]:
    """Nudged and rounded; a half goes up, or down where that is asked for."""
    if doubled:
        nudged = 2 * n + d - down
        return nudged, nudged // (2 * d)
    nudged = n + (d >> 1) - (down and d > 1)
    return nudged, nudged // d


def _power(n: int, d: int, last: int) -> Encoded:
    """The power of two nearest to n / d on the logarithmic scale; `last` is the code of zero."""
    if n <= 0:
        return Encoded(0, last, last)
    exponent = 0
    while n < d:
        n, exponent = n << 1, exponent + 1
    # No fraction is halfway, at the root of 1/2, which is irrational: n' > sqrt(2) d is n' > floor(sqrt(2 d**2)).
    nudged = min(n, 2 * d - 1)
    rounded = max(0, exponent - (n > isqrt(2 * d * d)))
    return Encoded(nudged, rounded, min(rounded, last))
