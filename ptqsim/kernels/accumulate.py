"""Accumulation one addition at a time, for every output of a list of tiles.

A tile is ``ROWS`` rows by ``COLUMNS`` columns of one matrix of the batch, and the right operand comes in panels of that
many columns, the last one filled up with zeros. All orders are one loop: the depth is cut into groups; within a group
products are added into an inner register with limits of its own (see `vector`), and after it that register is added
into the outer one, the accumulator:

- sequential: one group, whose limits are the accumulator's; the outer addition is then 0 + register and fits;
- tree: groups of `lanes`, inner limits so wide that they never act;
- split: groups of `tile`, both limits real.

Operands come in float32, float64, int32 or int64, and the caller has proven that the loop is exact in that type. For
floats that means that the limits and every value within them are integers the type holds. A sum beyond the limits may
be rounded, but rounding is monotone, so it stays beyond them and the clamped register is right. A product too large
to be exact is so large that the sum is beyond a limit whatever its last bits are, so it does not matter either
whether product and addition are rounded once or twice.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels import vector
from ptqsim.kernels._jit import jit

ROWS, COLUMNS = vector.ROWS, vector.COLUMNS


@jit
def saturate_tiles(
    start: int,
    stop: int,
    tiles: Any,
    a: Any,
    panels: Any,
    group: int,
    inner_low: Any,
    inner_high: Any,
    low: Any,
    high: Any,
    out: Any,
    counting: bool,
    events: Any,
) -> int:
    """Clamped accumulation of the tiles [start, stop); if `counting`, `events` [batch, M, N] counts clamps."""
    rows, depth = a.shape[1], a.shape[2]
    inner = np.empty((ROWS, COLUMNS), a.dtype)
    outer = np.empty((ROWS, COLUMNS), a.dtype)
    count = np.zeros((ROWS, COLUMNS), np.int32)
    for tile in range(start, stop):
        batch, left, right, row, panel = tiles[tile]
        matrix, weights = a[left], panels[right, panel]
        outer[:] = 0
        count[:] = 0
        for first in range(0, depth, group):
            last = min(first + group, depth)
            if counting:
                vector.saturate_counted(
                    matrix, row, rows - 1, first, last, weights, inner_low, inner_high, inner, count
                )
            else:
                vector.saturate(matrix, row, rows - 1, first, last, weights, inner_low, inner_high, inner, count)
            for r in range(ROWS):
                for j in range(COLUMNS):
                    total = outer[r, j] + inner[r, j]
                    clamped = total if total > low else low
                    clamped = clamped if clamped < high else high
                    outer[r, j] = clamped
                    count[r, j] += np.int32(clamped != total)
        _put(outer, count, batch, row, panel, out, counting, events)
    return 0


@jit
def wrap_tiles(
    start: int,
    stop: int,
    tiles: Any,
    a: Any,
    panels: Any,
    group: int,
    inner_drop: Any,
    drop: Any,
    out: Any,
    counting: bool,
    events: Any,
) -> int:
    """Wrapped accumulation of the tiles [start, stop), in int32 or int64; `events` as for `saturate_tiles`.

    A drop is how many of the machine word's bits the register lacks: shifting left and back by it keeps the low bits,
    sign included.
    """
    kind = a.dtype.type
    rows, depth = a.shape[1], a.shape[2]
    inner = np.empty((ROWS, COLUMNS), a.dtype)
    outer = np.empty((ROWS, COLUMNS), a.dtype)
    count = np.zeros((ROWS, COLUMNS), np.int32)
    for tile in range(start, stop):
        batch, left, right, row, panel = tiles[tile]
        matrix, weights = a[left], panels[right, panel]
        outer[:] = 0
        count[:] = 0
        for first in range(0, depth, group):
            last = min(first + group, depth)
            if counting:
                vector.wrap_counted(matrix, row, rows - 1, first, last, weights, inner_drop, inner_drop, inner, count)
            else:
                vector.wrap(matrix, row, rows - 1, first, last, weights, inner_drop, inner_drop, inner, count)
            for r in range(ROWS):
                for j in range(COLUMNS):
                    total = kind(outer[r, j] + inner[r, j])
                    wrapped = kind(kind(total << drop) >> drop)
                    outer[r, j] = wrapped
                    count[r, j] += np.int32(wrapped != total)
        _put(outer, count, batch, row, panel, out, counting, events)
    return 0


@jit
def _put(registers: Any, count: Any, batch: int, row: int, panel: int, out: Any, counting: bool, events: Any) -> None:
    """Store the part of a tile that is not beyond the last row or column."""
    column = panel * COLUMNS
    for r in range(min(ROWS, out.shape[1] - row)):
        for j in range(min(COLUMNS, out.shape[2] - column)):
            out[batch, row + r, column + j] = np.int64(registers[r, j])
            if counting:
                events[batch, row + r, column + j] = count[r, j]


@jit
def prefix_range(start: int, stop: int, tiles: Any, a: Any, panels: Any, group: int) -> tuple[Any, Any, Any, Any]:
    """Least and greatest exact prefix sums of the tiles [start, stop): after whole groups, then within groups."""
    rows, depth = a.shape[1], a.shape[2]
    inner = np.empty((ROWS, COLUMNS), a.dtype)
    outer = np.empty((ROWS, COLUMNS), a.dtype)
    inner_range = np.zeros((2, COLUMNS), a.dtype)
    lowest, highest = np.int64(0), np.int64(0)
    for tile in range(start, stop):
        _, left, right, row, panel = tiles[tile]
        outer[:] = 0
        for first in range(0, depth, group):
            last = min(first + group, depth)
            vector.prefixes(a[left], row, rows - 1, first, last, panels[right, panel], 0, 0, inner, inner_range)
            outer += inner
            lowest, highest = min(lowest, np.int64(outer.min())), max(highest, np.int64(outer.max()))
    return lowest, highest, np.int64(inner_range[0].min()), np.int64(inner_range[1].max())
