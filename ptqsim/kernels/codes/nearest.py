"""One real to its point of a grid: what an encoder stores as a code, and what fake quantization goes on with.

The reals are float32 or float64 and every constant comes in the same type, so that division and rounding happen in the
precision of the data.

Rounding comes in two shapes. To half even it is the machine's own instruction. Any other mode is truncation and a
correction that depends on the fraction f = t - trunc(t), which is exact: +1 if f >= `up`, -1 if f <= `down`.  A
`rounding` is (whether to half even, up, down).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels.runtime.jit import inlined


@inlined
def _round(t: Any, rounding: Any) -> Any:
    even, up, down = rounding
    # `even` is the same for every element: the compiler moves the test out of the loop.
    if even:
        return np.rint(t)
    whole = np.trunc(t)
    fraction = t - whole
    one, zero = type(t)(1), type(t)(0)
    return whole + (one if fraction >= up else zero) - (one if fraction <= down else zero)


@inlined
def clamped(t: Any, low: Any, high: Any, rounding: Any) -> Any:
    """The integer that t rounds to, within [low, high] (PTQ4ViT, Eq. 2)."""
    q = _round(t, rounding)
    q = q if q > low else low  # also what a NaN becomes
    return q if q < high else high


@inlined
def in_range_of(
    value: Any, split: Any, scale1: Any, scale2: Any, sign1: Any, top: Any, rounding: Any
) -> tuple[Any, bool]:
    """The magnitude up to `top`, and whether it is in R2: from `split` on (PTQ4ViT, Eq. 4).

    Below it is in R1, whose values have the sign `sign1`.
    """
    second = value >= split
    q = _round(value / (scale2 if second else scale1), rounding)
    q = q if second else q * sign1
    zero = top - top
    q = q if q > zero else zero
    return q if q < top else top, second


@inlined
def in_nearer_range(value: Any, scale1: Any, step: float, top: float, rounding: Any) -> tuple[float, bool]:
    """The nearer of the best magnitude in R1 and the best in R2, and whether that is R2; R1 on a tie.

    `step` is the spacing of R2 in units of R1. The comparison is in float64, where it is exact for a power-of-two
    scale: clamping to the last grid point first keeps every difference within 53 bits and changes no nearest point.
    """
    last = top * step
    t: Any = np.float64(value / scale1)
    t = t if t > 0.0 else 0.0
    t = t if t < last else last
    first = _round(t, rounding)
    first = first if first < top else top
    second = _round(t / step, rounding)
    second = second if second < top else top
    nearer = abs(t - second * step) < abs(t - first)
    return (second if nearer else first), nearer
