"""Reals to codes, and codes through a table.

An encoder returns how many values were not finite; what it stored for those means nothing.

A loop runs over a slice, from zero on: with an index that could be negative no vector code is made.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels._jit import jit
from ptqsim.kernels._nearest import clamped, in_nearer_range, in_range_of


@jit
def encode_uniform(
    start: int,
    stop: int,
    x: Any,
    scale: Any,
    low: Any,
    high: Any,
    mask: Any,
    largest: Any,
    even: bool,
    up: Any,
    down: Any,
    codes: Any,
) -> int:
    """Two's complement of round(x / scale), clamped to [low, high], in the bits of `mask`."""
    values, part = x[start:stop], codes[start:stop]
    strange = 0
    for i in range(len(values)):
        value = values[i]
        part[i] = np.int32(clamped(value / scale, low, high, even, up, down)) & mask
        strange += not (abs(value) <= largest)
    return strange


@jit
def encode_twin(
    start: int,
    stop: int,
    x: Any,
    split: Any,
    scale1: Any,
    scale2: Any,
    sign1: Any,
    top: Any,
    flag: Any,
    shared: Any,
    largest: Any,
    even: bool,
    up: Any,
    down: Any,
    codes: Any,
) -> int:
    """Flag and magnitude: R2 from `split` on, R1 (whose values have the sign `sign1`) below; magnitudes up to `top`."""
    values, part = x[start:stop], codes[start:stop]
    strange = 0
    for i in range(len(values)):
        value = values[i]
        q, second = in_range_of(value, split, scale1, scale2, sign1, top, even, up, down)
        magnitude = np.int32(q)
        # Magnitudes of R2 up to `shared` are values of R1 too, zero at least, and R1 has the canonical code.
        part[i] = magnitude | (flag if second and magnitude > shared else np.int32(0))
        strange += not (abs(value) <= largest)
    return strange


@jit
def encode_twin_nearest(
    start: int,
    stop: int,
    x: Any,
    scale1: Any,
    step: float,
    top: float,
    flag: Any,
    largest: Any,
    up: float,
    down: float,
    codes: Any,
) -> int:
    """Flag and magnitude of whichever range has the nearer point, both starting at zero; R1 on a tie."""
    values, part = x[start:stop], codes[start:stop]
    strange = 0
    for i in range(len(values)):
        value = values[i]
        q, second = in_nearer_range(value, scale1, step, top, up, down)
        part[i] = np.int32(q) | (flag if second else np.int32(0))
        strange += not (abs(value) <= largest)
    return strange


@jit
def look_up(start: int, stop: int, codes: Any, table: Any, out: Any) -> int:
    """Put ``table[code]`` for every code."""
    wanted, part = codes[start:stop], out[start:stop]
    for i in range(len(wanted)):
        part[i] = table[wanted[i]]
    return 0
