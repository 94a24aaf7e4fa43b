"""Reals to the reals that their codes stand for, without the codes: fake quantization in one pass.

Each rounder takes what the encoder of :mod:`ptqsim.kernels.codes.codec` takes, does the same arithmetic and ends with
one product: in the type of the data if that holds the step of the grid exactly, else in float64, rounded to that type.
It returns how many values were not finite.
"""

from __future__ import annotations

from typing import Any

from ptqsim.kernels.codes.nearest import clamped, in_nearer_range, in_range_of
from ptqsim.kernels.runtime.jit import jit
from ptqsim.kernels.runtime.team import shared


@jit
def round_uniform(start: int, stop: int, team: int, x: Any, grid: Any, largest: Any, rounding: Any, out: Any) -> int:
    """clamp(round(x / scale), low, high) * step; no zero is negative, as no code stands for such a one."""
    start = shared(start, stop, team)
    scale, low, high, step = grid
    zero = low - low
    values, part = x[start:stop], out[start:stop]
    nonfinite = 0
    for i in range(len(values)):
        value = values[i]
        part[i] = (clamped(value / scale, low, high, rounding) + zero) * step
        nonfinite += not (abs(value) <= largest)
    return nonfinite


@jit
def round_twin(start: int, stop: int, team: int, x: Any, grid: Any, largest: Any, rounding: Any, out: Any) -> int:
    """Magnitude times step of the range: R2 from `split` on, below it R1, whose values have the sign `sign1`."""
    start = shared(start, stop, team)
    split, scale1, scale2, sign1, top, step1, step2 = grid
    zero = top - top
    values, part = x[start:stop], out[start:stop]
    nonfinite = 0
    for i in range(len(values)):
        value = values[i]
        q, second = in_range_of(value, split, scale1, scale2, sign1, top, rounding)
        part[i] = q * (step2 if second else sign1 * step1) + zero
        nonfinite += not (abs(value) <= largest)
    return nonfinite


@jit
def round_twin_nearest(
    start: int, stop: int, team: int, x: Any, grid: Any, largest: Any, rounding: Any, out: Any
) -> int:
    """The nearest point of both ranges."""
    start = shared(start, stop, team)
    scale1, step, top = grid
    kind = x.dtype.type
    values, part = x[start:stop], out[start:stop]
    nonfinite = 0
    for i in range(len(values)):
        value = values[i]
        q, second = in_nearer_range(value, scale1, step, top, rounding)
        part[i] = kind(q * step if second else q) * scale1
        nonfinite += not (abs(value) <= largest)
    return nonfinite
