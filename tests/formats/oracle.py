"""Encoders in exact rational arithmetic, one value at a time, to compare with."""

from __future__ import annotations

import math
from bisect import bisect_left
from fractions import Fraction
from functools import lru_cache

import numpy as np

import ptqsim as pq


def rounded(t: Fraction, mode: str) -> int:
    """`t` rounded to an integer, from the definition of each mode."""
    floor, half = math.floor(t), Fraction(1, 2)
    if mode == "toward_zero":
        return math.trunc(t)
    if t - floor != half:
        return math.floor(t + half)
    return {
        "half_even": floor if floor % 2 == 0 else floor + 1,
        "half_away": floor if t < 0 else floor + 1,
        "half_up": floor + 1,
    }[mode]


def quotient(x: np.floating, scale: float) -> Fraction:
    """x / scale in the type of x, as the exact value of that float; infinity as a number beyond every code."""
    with np.errstate(over="ignore"):
        value = float(x / type(x)(scale))
    if math.isinf(value):
        return Fraction(10**30) * (1 if value > 0 else -1)
    return Fraction(value)


@lru_cache
def canonical_codes(number_format: pq.NumberFormat) -> dict[int, int]:
    """The one code that `encode` emits for each aligned value: of several the least, so R1 before R2."""
    codes = range(number_format.code_count)
    return {pq.reference.operand(code, number_format).aligned: code for code in reversed(codes)}


@lru_cache
def reachable(number_format: pq.NumberFormat) -> list[int]:
    return sorted(canonical_codes(number_format))


def aligned(x: np.floating, number_format: pq.NumberFormat) -> int:
    """The aligned value that `x` is to be encoded as."""
    bits, shift, rounding = number_format.bits, number_format.shift, str(number_format.rounding)
    top = (1 << (bits - 1)) - 1
    if isinstance(number_format, pq.Uniform):
        low, high = (-top - 1, top) if number_format.signed else (0, 2 * top + 1)
        aligned = rounded(quotient(x, number_format.scale), rounding)
        return min(max(aligned, low - number_format.zero_point), high - number_format.zero_point)
    if number_format.range_choice == "nearest":
        t, values = quotient(x, number_format.scale), reachable(number_format)
        above = bisect_left(values, t)
        return min(values[max(above - 1, 0) : above + 1], key=lambda value: (abs(t - value), abs(value)))
    first = x < type(x)(2.0**-shift if isinstance(number_format, pq.TwinSoftmax) else 0.0)
    scale = number_format.scale * (1 if first else 2**shift)
    q = rounded(quotient(x, scale), rounding)
    if first and isinstance(number_format, pq.TwinGELU):
        return min(max(q, -top), 0)
    return min(max(q, 0), top) << (0 if first else shift)


def probes(number_format: pq.NumberFormat, dtype: type[np.floating]) -> np.ndarray:
    """Reals where encoders go wrong: on and beside every grid point and every middle, the split, and far outside."""
    values = np.array(reachable(number_format), np.float64)
    points = [
        values,
        values[:-1] + np.diff(values) / 2,
        values * 2,
        np.arange(-9, 9) / 2,
        values[[0, -1]] + [-0.5, 0.5],
    ]
    reals = np.concatenate([np.concatenate(points) * number_format.scale, [2.0**-number_format.shift]]).astype(dtype)
    beside = [np.nextafter(reals, dtype(np.inf)), np.nextafter(reals, dtype(-np.inf))]
    limits = np.finfo(dtype)
    far = np.array([limits.max, -limits.max, limits.tiny, -limits.tiny, limits.smallest_subnormal, -0.0], dtype)
    return np.concatenate([reals, *beside, far])
