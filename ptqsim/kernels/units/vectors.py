"""Units that compute every value by itself, in loops that become vector code.

Rows lie anywhere in flat arrays, so that heads, windows and parts of a product need not be copied first. Row r stands
for (b, h, t), r = (b H + h) T + t, where `shape` is (T, H). `places` has a line for each input, and a last one for the
codes: the element at which row 0 begins, the strides of t, h and b, and flip and less. What an input stands for is
``(x ^ flip) - less``, which is 0 and 0 for integers. Constants have a line for every h, or one for all.

The caller has proven that no value leaves its word: numerators have 63 bits, and shifts are not negative.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels.runtime.jit import inlined, jit
from ptqsim.kernels.runtime.team import shared


@inlined
def head(row: int, shape: Any) -> Any:
    """The h of a row."""
    return row // shape[0] % shape[1]


@inlined
def begin(row: int, shape: Any, place: Any) -> Any:
    """The element of a flat array at which a row begins."""
    rest = row // shape[0]
    return place[0] + row % shape[0] * place[1] + rest % shape[1] * place[2] + rest // shape[1] * place[3]


@jit
def rescale(
    start: int, stop: int, team: int, shape: Any, places: Any, acc: Any, mantissa: Any, addend: Any, limits: Any,
    codes: Any,
) -> int:  # fmt: skip
    """Uniform codes of (acc * mantissa + addend) >> shift; `limits` [G, 5]: shift, low, high, zero point, mask."""
    start = shared(start, stop, team)
    n = mantissa.shape[1]
    for row in range(start, stop):
        g = head(row, shape) if len(limits) > 1 else 0
        first, at = begin(row, shape, places[0]), begin(row, shape, places[1])
        values, out, factor, more = acc[first : first + n], codes[at : at + n], mantissa[g], addend[g]
        shift, low, high, zero, mask = limits[g, 0], limits[g, 1], limits[g, 2], limits[g, 3], limits[g, 4]
        for j in range(n):
            rounded = (np.int64(values[j]) * factor[j] + more[j]) >> shift
            out[j] = (min(max(rounded, low), high) + zero) & mask
    return 0


@jit
def residual_add(
    start: int, stop: int, team: int, shape: Any, places: Any, x: Any, acc: Any, m1: Any, m2: Any, addend: Any,
    limits: Any, codes: Any,
) -> int:  # fmt: skip
    """Uniform codes of (x * m1 + acc * m2 + addend) >> shift; the limits are those of `rescale`."""
    start = shared(start, stop, team)
    n = m1.shape[1]
    flip, less = places[0, 4], places[0, 5]
    for row in range(start, stop):
        g = head(row, shape) if len(limits) > 1 else 0
        first, second, at = begin(row, shape, places[0]), begin(row, shape, places[1]), begin(row, shape, places[2])
        stream, branch, out = x[first : first + n], acc[second : second + n], codes[at : at + n]
        factor1, factor2, more = m1[g], m2[g], addend[g]
        shift, low, high, zero, mask = limits[g, 0], limits[g, 1], limits[g, 2], limits[g, 3], limits[g, 4]
        for j in range(n):
            total = ((np.int64(stream[j]) ^ flip) - less) * factor1[j] + np.int64(branch[j]) * factor2[j] + more[j]
            out[j] = (min(max(total >> shift, low), high) + zero) & mask
    return 0


@jit
def look_up(
    start: int, stop: int, team: int, shape: Any, places: Any, acc: Any, mantissa: Any, addend: Any, limits: Any,
    table: Any, codes: Any,
) -> int:  # fmt: skip
    """Entries of a table at the index that acc * mantissa + addend, rounded and clamped, is away from the least one.

    `limits` [G, 6] are the shift and the half of negative numerators, those of the others, low and high.
    """
    start = shared(start, stop, team)
    n = mantissa.shape[1]
    index = np.empty(n, np.int32)
    for row in range(start, stop):
        g = head(row, shape) if len(limits) > 1 else 0
        first, at = begin(row, shape, places[0]), begin(row, shape, places[1])
        values, out, factor, more, entries = (
            acc[first : first + n],
            codes[at : at + n],
            mantissa[g],
            addend[g],
            table[g],
        )
        shift0, half0, shift1, half1, low, high = (
            limits[g, 0], limits[g, 1], limits[g, 2], limits[g, 3], limits[g, 4], limits[g, 5]
        )  # fmt: skip
        for j in range(n):
            numerator = np.int64(values[j]) * factor[j] + more[j]
            rounded = (numerator + half0) >> shift0 if numerator < 0 else (numerator + half1) >> shift1
            index[j] = min(max(rounded, low), high) - low
        for j in range(n):
            out[j] = entries[index[j]]
    return 0
