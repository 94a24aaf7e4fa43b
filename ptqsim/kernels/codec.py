"""Reals to codes, and codes through a table.

The reals are float32 or float64 and every constant comes in the same type, so that division and rounding happen in the
precision of the data. An encoder returns how many values were not finite; what it stored for those means nothing.

Rounding comes in two shapes. To half even it is the machine's own instruction. Any other mode is truncation and a
correction that depends on the fraction f = t - trunc(t), which is exact: +1 if f >= `up`, -1 if f <= `down`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels._jit import jit


@jit
def _round(t: Any, even: bool, up: Any, down: Any, one: Any) -> Any:
    # `even` is the same for every element: the compiler moves the test out of the loop.
    if even:
        return np.rint(t)
    whole = np.trunc(t)
    fraction = t - whole
    zero = one - one
    return whole + (one if fraction >= up else zero) - (one if fraction <= down else zero)


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
    one = x.dtype.type(1)
    strange = 0
    for i in range(start, stop):
        value = x[i]
        q = _round(value / scale, even, up, down, one)
        q = q if q > low else low  # also what a NaN becomes
        q = q if q < high else high
        codes[i] = np.int32(q) & mask
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
    one = x.dtype.type(1)
    zero = x.dtype.type(0)
    strange = 0
    for i in range(start, stop):
        value = x[i]
        second = value >= split
        q = _round(value / (scale2 if second else scale1), even, up, down, one)
        q = q if second else q * sign1
        q = q if q > zero else zero
        q = q if q < top else top
        magnitude = np.int32(q)
        # Magnitudes of R2 up to `shared` are values of R1 too, zero at least, and R1 has the canonical code.
        codes[i] = magnitude | (flag if second and magnitude > shared else np.int32(0))
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
    """The nearer of the best magnitude in R1 and the best in R2, both ranges starting at zero; R1 on a tie.

    `step` is the spacing of R2 in units of R1. The comparison is in float64, where it is exact for a power-of-two
    scale: clamping to the last grid point first keeps every difference within 53 bits and changes no nearest point.
    """
    strange = 0
    last = top * step
    for i in range(start, stop):
        value = x[i]
        t: Any = np.float64(value / scale1)
        t = t if t > 0.0 else 0.0
        t = t if t < last else last
        first = _round(t, False, up, down, 1.0)
        first = first if first < top else top
        second = _round(t / step, False, up, down, 1.0)
        second = second if second < top else top
        nearer = abs(t - second * step) < abs(t - first)
        codes[i] = np.int32(second if nearer else first) | (flag if nearer else np.int32(0))
        strange += not (abs(value) <= largest)
    return strange


@jit
def look_up(start: int, stop: int, codes: Any, table: Any, out: Any) -> int:
    """Put ``table[code]`` for every code."""
    for i in range(start, stop):
        out[i] = table[codes[i]]
    return 0
