"""Accumulation one addition at a time, for every output of a list of tiles.

A tile is ``ROWS`` rows by ``COLUMNS`` columns of one matrix of the batch. The left operand comes in strips of that many
rows, each turned so that what a step needs lies together, and the right one in panels of that many columns; the last
ones are filled up with zeros. All orders are one loop: the depth is cut into groups; within a group products are added
into an inner register with limits of its own (see `vector` and `words`), and after it that register is added into the
outer one, the accumulator:

- sequential: one group, whose limits are the accumulator's; the outer addition is then 0 + register and fits;
- tree: groups of `lanes`, inner limits so wide that they never act;
- split: groups of `tile`, both limits real.

Operands come in float32, float64, int32 or int64, in halves of words (`halves`), or in words, and the caller has proven
that the loop is exact in that type. For floats that means that the limits and every value within them are integers the
type holds. A sum beyond the limits may be rounded, but rounding is monotone, so it stays beyond them and the clamped
register is right. A product too large to be exact is so large that the sum is beyond a limit whatever its last bits
are, so it does not matter either whether product and addition are rounded once or twice.

Every kernel takes ``(start, stop, team, which, pairs, strips, panels, ...)``: it runs the tiles ``which[start:stop]``;
`pairs` [batch, 2] says which left matrix of `strips` [A, block, K, ROWS] and which right one of `panels` [B, panel, K,
COLUMNS] a product of the batch takes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels.codegen import halves, vector, words
from ptqsim.kernels.codegen.geometry import COLUMNS, ROWS
from ptqsim.kernels.codegen.store import store
from ptqsim.kernels.matmul.lanes import SATURATE_MARKED, accumulate_tiles, keep_range, step
from ptqsim.kernels.matmul.tiles import clear, expect, operands, part, place, put
from ptqsim.kernels.runtime.jit import jit
from ptqsim.kernels.runtime.team import shared


@jit
def lane_tiles(
    start: int, stop: int, team: int, which: Any, pairs: Any, strips: Any, panels: Any, group: int, how: int,
    inner_low: Any, inner_high: Any, low: Any, high: Any, out: Any, counting: bool, events: Any,
) -> int:  # fmt: skip
    """Accumulation in lanes of one type, in the way `how`; if `counting`, `events` [batch, M, N] counts changed sums.

    Where it wraps, in int32 or int64, `inner_low` and `low` are the drops of both registers: how many of the machine
    word's bits they lack.
    """
    start = shared(start, stop, team)
    tiles, limits = (start, stop, which, pairs), (inner_low, inner_high, low, high)
    accumulate_tiles(
        how, vector.saturate, vector.saturate_counted, vector.wrap, vector.wrap_counted,
        tiles, strips, panels, clear, 0, group, limits, out, counting, events,
    )  # fmt: skip
    return 0


@jit
def half_tiles(
    start: int, stop: int, team: int, which: Any, pairs: Any, strips: Any, panels: Any, group: int, fills: bool,
    inner_low: Any, inner_high: Any, low: Any, high: Any, out: Any,
) -> int:  # fmt: skip
    """Saturating accumulation in int16 (see `halves`), in an inner register that `fills` it or one that is lifted."""
    start = shared(start, stop, team)
    depth = strips.shape[2]
    registers = np.empty((ROWS, COLUMNS), np.int16)
    more, nothing = np.empty((0, 0), np.int32), np.empty(COLUMNS, np.int16)
    nothing[:] = 0
    blocks, panels_of_one = strips.shape[1], panels.shape[1]
    for index in range(start, stop):
        batch, panel, block, x, w = operands(which[index], pairs, strips, panels)
        height, width, at = part(batch, panel, block, out.shape)
        expect(which, index + 1, stop, blocks, panels_of_one, out)
        registers[:] = 0
        for first in range(0, depth, group):
            stop_at = min(first + group, depth)
            if fills:
                halves.fill(
                    strips, x, first, stop_at, panels, w, width, inner_low, inner_high, low, high, registers, more
                )
            else:
                halves.lift(
                    strips, x, first, stop_at, panels, w, width, inner_low, inner_high, low, high, registers, more
                )
        store(registers, nothing, 0, height, width, 0, out, at)
    return 0


@jit
def word_tiles(
    start: int, stop: int, team: int, which: Any, pairs: Any, strips: Any, panels: Any, group: int, how: int,
    scale: Any, low: Any, high: Any, out: Any, counting: bool, events: Any,
) -> int:  # fmt: skip
    """Accumulation of words, in the way `how`; `scale` and the limits as in `words`, `events` as it counts or marks."""
    start = shared(start, stop, team)
    depth = strips.shape[2]
    registers = np.empty((ROWS, COLUMNS), np.int32)
    count = np.empty((ROWS, COLUMNS), np.int32)
    nothing = np.empty(COLUMNS, np.int32)
    nothing[:] = 0
    blocks, panels_of_one = strips.shape[1], panels.shape[1]
    for index in range(start, stop):
        batch, panel, block, x, w = operands(which[index], pairs, strips, panels)
        height, width, at = part(batch, panel, block, out.shape)
        expect(which, index + 1, stop, blocks, panels_of_one, out)
        registers[:] = 0
        if counting:
            count[:] = 0
        for first in range(0, depth, group):
            stop_at = min(first + group, depth)
            if how == SATURATE_MARKED:
                words.saturate_marked(
                    strips, x, first, stop_at, panels, w, width, scale, scale, low, high, registers, count
                )
            else:
                step(
                    how, words.saturate, words.saturate_counted, words.wrap, words.wrap_counted,
                    strips, x, first, stop_at, panels, w, width, (scale, scale, low, high), registers, count,
                )  # fmt: skip
        store(registers, nothing, 0, height, width, 0, out, at)
        if counting:
            put(count, batch, block, panel, events)
    return 0


@jit
def any_in_tiles(
    start: int, stop: int, team: int, which: Any, panels: int, blocks: int, events: Any, found: Any
) -> int:
    """True for each of the tiles in which `events` [batch, M, N] has a nonzero entry."""
    start = shared(start, stop, team)
    for index in range(start, stop):
        batch, panel, block = place(which[index], panels, blocks)
        height, width, _ = part(batch, panel, block, events.shape)
        seen = np.int32(0)
        for r in range(height):
            line = events[batch, block * ROWS + r, panel * COLUMNS : panel * COLUMNS + width]
            for j in range(width):
                seen |= line[j]
        found[index] = seen != 0
    return 0


@jit
def prefix_range(
    start: int, stop: int, team: int, which: Any, pairs: Any, strips: Any, panels: Any, columns: int, group: int,
    unit: int, found: Any,
) -> int:  # fmt: skip
    """Least and greatest exact prefix sum within groups, then after them, zero included.

    Those of the part from `start` on go to ``found[start // unit]``, which comes as zeros, int64 [part, 4].
    """
    start = shared(start, stop, team)
    tiles = (start, stop, which, pairs)
    keep_range(vector.prefixes, tiles, strips, panels, clear, 0, columns, group, strips.dtype, unit, found)
    return 0


@jit
def prefix_range_of_words(
    start: int, stop: int, team: int, which: Any, pairs: Any, strips: Any, panels: Any, columns: int, group: int,
    unit: int, found: Any,
) -> int:  # fmt: skip
    """As `prefix_range`, of words that are not scaled."""
    start = shared(start, stop, team)
    tiles = (start, stop, which, pairs)
    keep_range(words.prefixes, tiles, strips, panels, clear, 0, columns, group, np.int32, unit, found)
    return 0
