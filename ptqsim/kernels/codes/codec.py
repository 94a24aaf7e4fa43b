"""Reals to codes, and codes through a table.

An encoder returns how many values were not finite; what it stored for those means nothing.

A loop runs over a slice, from zero on: with an index that could be negative no vector code is made.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels.codes.nearest import clamped, in_nearer_range, in_range_of
from ptqsim.kernels.runtime.jit import jit
from ptqsim.kernels.runtime.team import shared


@jit
def encode_uniform(start: int, stop: int, team: int, x: Any, grid: Any, largest: Any, rounding: Any, codes: Any) -> int:
    """round(x / scale), clamped to [low, high], in the bits of `mask`: in two's complement where it is negative."""
    start = shared(start, stop, team)
    scale, low, high, mask = grid
    values, part = x[start:stop], codes[start:stop]
    nonfinite = 0
    for i in range(len(values)):
        value = values[i]
        part[i] = np.int32(clamped(value / scale, low, high, rounding)) & mask
        nonfinite += not (abs(value) <= largest)
    return nonfinite


@jit
def encode_with_zero_point(
    start: int, stop: int, team: int, x: Any, grid: Any, largest: Any, rounding: Any, codes: Any
) -> int:
    """The same plus `zero`. It takes a bit longer."""
    start = shared(start, stop, team)
    scale, low, high, zero, mask = grid
    values, part = x[start:stop], codes[start:stop]
    nonfinite = 0
    for i in range(len(values)):
        value = values[i]
        part[i] = (np.int32(clamped(value / scale, low, high, rounding)) + zero) & mask
        nonfinite += not (abs(value) <= largest)
    return nonfinite


@jit
def encode_twin(start: int, stop: int, team: int, x: Any, grid: Any, largest: Any, rounding: Any, codes: Any) -> int:
    """Flag and magnitude: R2 from `split` on, R1 (whose values have the sign `sign1`) below; magnitudes up to `top`."""
    start = shared(start, stop, team)
    split, scale1, scale2, sign1, top, flag, both = grid
    values, part = x[start:stop], codes[start:stop]
    nonfinite = 0
    for i in range(len(values)):
        value = values[i]
        q, second = in_range_of(value, split, scale1, scale2, sign1, top, rounding)
        magnitude = np.int32(q)
        # Magnitudes of R2 up to `both` are values of R1 too, zero at least, and R1 has the canonical code.
        part[i] = magnitude | (flag if second and magnitude > both else np.int32(0))
        nonfinite += not (abs(value) <= largest)
    return nonfinite


@jit
def encode_twin_nearest(
    start: int, stop: int, team: int, x: Any, grid: Any, largest: Any, rounding: Any, codes: Any
) -> int:
    """Flag and magnitude of whichever range has the nearer point, both starting at zero; R1 on a tie."""
    start = shared(start, stop, team)
    scale1, step, top, flag = grid
    values, part = x[start:stop], codes[start:stop]
    nonfinite = 0
    for i in range(len(values)):
        value = values[i]
        q, second = in_nearer_range(value, scale1, step, top, rounding)
        part[i] = np.int32(q) | (flag if second else np.int32(0))
        nonfinite += not (abs(value) <= largest)
    return nonfinite


@jit
def look_up(start: int, stop: int, team: int, codes: Any, table: Any, out: Any) -> int:
    """Put ``table[code]`` for every code."""
    start = shared(start, stop, team)
    wanted, part = codes[start:stop], out[start:stop]
    for i in range(len(wanted)):
        part[i] = table[wanted[i]]
    return 0
