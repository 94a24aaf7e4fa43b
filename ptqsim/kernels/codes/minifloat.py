"""Reals to the codes of small floats, and to what these codes stand for.

A float64 holds every quotient exactly, and its bits are a sign, an exponent and a fraction already: dropping the lower
bits of the fraction, half to even, is rounding, a carry into the exponent included. Below the least normal number the
distance of codes stays the same, and rounding is that of an integer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels.runtime.jit import inlined, jit
from ptqsim.kernels.runtime.team import shared

BLOCK = 512
"""Quotients whose bits are taken at once."""

_MAGNITUDE = (1 << 63) - 1


@inlined
def _code_of(quotient: Any, word: Any, grid: Any, special: Any) -> Any:
    """The code of a quotient whose bits are `word`."""
    _, drop, base, least, per_step, top = grid
    sign, beyond, nan, _ = special
    magnitude = word & np.int64(_MAGNITUDE)
    # Half to even: a tie is the half that is added and 1 less, plus the bit that is odd in an odd code.
    half = (np.int64(1) << drop >> np.int64(1)) - np.int64(1)
    normal = ((magnitude + half + ((magnitude >> drop) - base & np.int64(1))) >> drop) - base
    t = abs(quotient)
    small = t if t < least else least  # also what a NaN becomes
    code = normal if t >= least else np.int64(np.rint(small * per_step))
    code = code if code <= top else beyond
    code = code if t == t else nan
    return code | (sign if word < 0 else np.int64(0))


@jit
def encode_minifloat(
    start: int, stop: int, team: int, x: Any, grid: Any, largest: Any, special: Any, codes: Any
) -> int:
    """Codes of x / scale; how many values are infinite or NaN, if the format has no codes for these.

    `grid` is the scale in the type of x; how many bits of a float64 are dropped, and what is then between its exponent
    and that of the format; the least normal number; the inverse of the step below it; and the largest number's code.
    `special` is the sign bit, the codes of what is beyond the largest number and of NaN, and if other values count.
    """
    start = shared(start, stop, team)
    quotients = np.empty(BLOCK, np.float64)
    words = quotients.view(np.int64)
    scale, counts, nonfinite = grid[0], special[3], 0
    for first in range(start, stop, BLOCK):
        last = min(first + BLOCK, stop)
        values, part = x[first:last], codes[first:last]
        for i in range(len(values)):
            quotients[i] = np.float64(values[i] / scale)
        for i in range(len(values)):
            part[i] = _code_of(quotients[i], words[i], grid, special)
            nonfinite += counts and not (abs(values[i]) <= largest)
    return nonfinite


@jit
def round_minifloat(start: int, stop: int, team: int, x: Any, grid: Any, largest: Any, special: Any, out: Any) -> int:
    """Reals that the codes of `encode_minifloat` stand for; its `grid` is followed by a table of them."""
    start = shared(start, stop, team)
    quotients = np.empty(BLOCK, np.float64)
    words = quotients.view(np.int64)
    codes = np.empty(BLOCK, np.uint16)
    constants, table = grid
    scale, counts, nonfinite = constants[0], special[3], 0
    for first in range(start, stop, BLOCK):
        last = min(first + BLOCK, stop)
        values, part = x[first:last], out[first:last]
        for i in range(len(values)):
            quotients[i] = np.float64(values[i] / scale)
        for i in range(len(values)):
            codes[i] = _code_of(quotients[i], words[i], constants, special)
            nonfinite += counts and not (abs(values[i]) <= largest)
        for i in range(len(values)):
            part[i] = table[codes[i]]
    return nonfinite
