"""Accumulation one addition at a time, for every output of a tile list.

A tile is ``ROWS`` rows by up to ``COLUMNS`` columns of one matrix of the batch. Its registers live in small arrays that
stay in the first-level cache, and the innermost loop runs over columns, which is what the vector unit takes. A tile
that hangs over the last row repeats that row, so that the loop has no odd cases.

All orders are one loop. The depth is cut into groups; within a group products are added into a tile register with its
own limits, and after the group that register is added into the accumulator with the outer limits:

- sequential: one group, whose limits are the accumulator's; the outer addition is then 0 + register and fits;
- tree: groups of `lanes`, inner limits so wide that they never act;
- split: groups of `tile`, both limits real.

`values` come in float32, float64, int32 or int64, and the caller has proven that the loop is exact in that type. For
floats that means that every value inside the limits and the limits themselves are integers the type holds: a sum beyond
the limits may be rounded, but rounding is monotone, so it stays beyond them and the clamped register is right. A
product too large to be exact is so large that the sum is beyond a limit whatever its last bits are, hence fusing
product and addition into one rounding (the `contracted` compilation) changes nothing either.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels._jit import jit, jit_contracted

ROWS = 4
COLUMNS = 256


@jit_contracted
def saturate_tiles(
    start: int, stop: int, tiles: Any, a: Any, b: Any, group: int, inner_low: Any, inner_high: Any, low: Any, high: Any,
    out: Any, counting: bool, events: Any,
) -> int:  # fmt: skip
    """Clamped accumulation of the tiles [start, stop); if `counting`, `events` [batch, M, N] counts clamps."""
    kind = a.dtype.type
    rows, depth = a.shape[1], a.shape[2]
    columns = b.shape[2]
    inner = np.empty((ROWS, COLUMNS), a.dtype)
    outer = np.empty((ROWS, COLUMNS), a.dtype)
    count = np.zeros((ROWS, COLUMNS), np.int32)
    for tile in range(start, stop):
        batch, left, right, i0, j0 = tiles[tile]
        width = min(COLUMNS, columns - j0)
        outer[:] = kind(0)
        count[:] = 0
        for first in range(0, depth, group):
            inner[:] = kind(0)
            for k in range(first, min(first + group, depth)):
                weights = b[right, k, j0 : j0 + width]
                for r in range(ROWS):
                    x = a[left, min(i0 + r, rows - 1), k]
                    register = inner[r]
                    counter = count[r]
                    for j in range(width):
                        total = kind(register[j] + kind(x * weights[j]))
                        clamped = total if total > inner_low else inner_low
                        clamped = clamped if clamped < inner_high else inner_high
                        register[j] = clamped
                        if counting:
                            counter[j] += clamped != total
            for r in range(ROWS):
                for j in range(width):
                    total = kind(outer[r, j] + inner[r, j])
                    clamped = min(max(total, low), high)
                    outer[r, j] = clamped
                    count[r, j] += clamped != total
        for r in range(min(ROWS, rows - i0)):
            for j in range(width):
                out[batch, i0 + r, j0 + j] = np.int64(outer[r, j])
                if counting:
                    events[batch, i0 + r, j0 + j] += count[r, j]
    return 0


@jit
def wrap_tiles(
    start: int, stop: int, tiles: Any, a: Any, b: Any, group: int, inner_drop: Any, drop: Any, out: Any, counting: bool,
    events: Any,
) -> int:  # fmt: skip
    """Wrapped accumulation of the tiles [start, stop), in int32 or int64.

    `drop` is how many of the machine word's bits the register lacks: shifting left and back by it keeps the low P bits,
    sign included.
    """
    kind = a.dtype.type
    rows, depth = a.shape[1], a.shape[2]
    columns = b.shape[2]
    inner = np.empty((ROWS, COLUMNS), a.dtype)
    outer = np.empty((ROWS, COLUMNS), a.dtype)
    count = np.zeros((ROWS, COLUMNS), np.int32)
    for tile in range(start, stop):
        batch, left, right, i0, j0 = tiles[tile]
        width = min(COLUMNS, columns - j0)
        outer[:] = kind(0)
        count[:] = 0
        for first in range(0, depth, group):
            inner[:] = kind(0)
            for k in range(first, min(first + group, depth)):
                weights = b[right, k, j0 : j0 + width]
                for r in range(ROWS):
                    x = a[left, min(i0 + r, rows - 1), k]
                    register = inner[r]
                    counter = count[r]
                    for j in range(width):
                        total = kind(register[j] + kind(x * weights[j]))
                        wrapped = kind(kind(total << inner_drop) >> inner_drop)
                        register[j] = wrapped
                        if counting:
                            counter[j] += wrapped != total
            for r in range(ROWS):
                for j in range(width):
                    total = kind(outer[r, j] + inner[r, j])
                    wrapped = kind(kind(total << drop) >> drop)
                    outer[r, j] = wrapped
                    count[r, j] += wrapped != total
        for r in range(min(ROWS, rows - i0)):
            for j in range(width):
                out[batch, i0 + r, j0 + j] = np.int64(outer[r, j])
                if counting:
                    events[batch, i0 + r, j0 + j] += count[r, j]
    return 0


@jit_contracted
def prefix_range(start: int, stop: int, tiles: Any, a: Any, b: Any, group: int) -> tuple[Any, Any, Any, Any]:
    """Least and greatest exact prefix sums of the tiles [start, stop): after whole groups, then within groups.

    The type holds every prefix sum exactly, so fusing product and addition changes nothing.
    """
    kind = a.dtype.type
    rows, depth = a.shape[1], a.shape[2]
    columns = b.shape[2]
    inner = np.empty((ROWS, COLUMNS), a.dtype)
    outer = np.empty((ROWS, COLUMNS), a.dtype)
    extremes = np.zeros((4, COLUMNS), a.dtype)  # rows: outer least, outer greatest, inner least, inner greatest
    for tile in range(start, stop):
        _, left, right, i0, j0 = tiles[tile]
        width = min(COLUMNS, columns - j0)
        outer[:] = kind(0)
        for first in range(0, depth, group):
            inner[:] = kind(0)
            for k in range(first, min(first + group, depth)):
                weights = b[right, k, j0 : j0 + width]
                for r in range(ROWS):
                    x = a[left, min(i0 + r, rows - 1), k]
                    for j in range(width):
                        total = kind(inner[r, j] + kind(x * weights[j]))
                        inner[r, j] = total
                        extremes[2, j] = min(extremes[2, j], total)
                        extremes[3, j] = max(extremes[3, j], total)
            for r in range(ROWS):
                for j in range(width):
                    total = kind(outer[r, j] + inner[r, j])
                    outer[r, j] = total
                    extremes[0, j] = min(extremes[0, j], total)
                    extremes[1, j] = max(extremes[1, j], total)
    return (
        np.int64(extremes[0].min()),
        np.int64(extremes[1].max()),
        np.int64(extremes[2].min()),
        np.int64(extremes[3].max()),
    )
