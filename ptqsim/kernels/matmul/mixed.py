"""Accumulation in tiles whose register has another overflow mode than the outer one: `accumulate` has the loops.

One of the two registers wraps and the other saturates. The outer ones start from a number for each column, as in
`preloaded`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels.codegen import vector, words
from ptqsim.kernels.codegen.geometry import COLUMNS, ROWS
from ptqsim.kernels.codegen.store import store
from ptqsim.kernels.matmul.tiles import expect, load, part, place, put
from ptqsim.kernels.runtime.jit import inlined, jit
from ptqsim.kernels.runtime.team import shared


@jit
def lane_tiles(
    start: int, stop: int, team: int, which: Any, pairs: Any, strips: Any, panels: Any, initial: Any, group: int,
    inner_saturates: bool, inner_low: Any, inner_high: Any, low: Any, high: Any, out: Any, counting: bool, events: Any,
) -> int:  # fmt: skip
    """Accumulation in lanes of int32 or int64; if `counting`, `events` [batch, M, N] counts changed sums.

    `inner_low` and `inner_high` are limits if `inner_saturates`, and `low` the drop of the outer register: how many of
    the machine word's bits it lacks; else `inner_low` is a drop, and `low` and `high` are limits.
    """
    start = shared(start, stop, team)
    depth, columns = strips.shape[2], out.shape[2]
    registers = np.empty((ROWS, COLUMNS), strips.dtype)
    count = np.empty((ROWS, COLUMNS), np.int32)
    for index in range(start, stop):
        batch, panel, block = place(which[index], panels.shape[1], strips.shape[1])
        x = (pairs[batch, 0] * strips.shape[1] + block) * depth
        w = (pairs[batch, 1] * panels.shape[1] + panel) * depth
        width = min(COLUMNS, columns - panel * COLUMNS)
        load(initial, pairs[batch, 1], panel, registers)
        count[:] = 0
        for first in range(0, depth, group):
            stop_at = min(first + group, depth)
            limits = inner_low, inner_high, low, high
            _step(strips, x, first, stop_at, panels, w, width, limits, registers, count, inner_saturates, counting)
        put(registers, batch, block, panel, out)
        if counting:
            put(count, batch, block, panel, events)
    return 0


@inlined
def _step(
    strips: Any, x: int, first: int, stop: int, panels: Any, w: int, width: int, limits: Any, registers: Any,
    count: Any, inner_saturates: bool, counting: bool,
) -> None:  # fmt: skip
    inner_low, inner_high, low, high = limits
    if inner_saturates and counting:
        vector.saturate_in_wrap_counted(
            strips, x, first, stop, panels, w, width, inner_low, inner_high, low, high, registers, count
        )
    elif inner_saturates:
        vector.saturate_in_wrap(
            strips, x, first, stop, panels, w, width, inner_low, inner_high, low, high, registers, count
        )
    elif counting:
        vector.wrap_in_saturate_counted(
            strips, x, first, stop, panels, w, width, inner_low, inner_high, low, high, registers, count
        )
    else:
        vector.wrap_in_saturate(
            strips, x, first, stop, panels, w, width, inner_low, inner_high, low, high, registers, count
        )


@jit
def pair_tiles(
    start: int, stop: int, team: int, which: Any, pairs: Any, strips: Any, panels: Any, drop: int, out: Any
) -> int:
    """Tiles of two products that saturate in 16 bits, by the instruction that does so (see `words.saturated_pairs`).

    Words are four bytes, unsigned ones on the left. The outer register wraps: of its sum mod 2**32 the low 64 - `drop`
    bits are kept, sign included.
    """
    start = shared(start, stop, team)
    depth, blocks, panels_of_one = strips.shape[2], strips.shape[1], panels.shape[1]
    registers, more = np.empty((ROWS, COLUMNS), np.int32), np.empty((0, 0), np.int32)
    nothing = np.empty(COLUMNS, np.int32)
    nothing[:] = 0
    for index in range(start, stop):
        batch, panel, block = place(which[index], panels_of_one, blocks)
        x = (pairs[batch, 0] * blocks + block) * depth
        w = (pairs[batch, 1] * panels_of_one + panel) * depth
        height, width, at = part(batch, panel, block, out.shape)
        expect(which, index + 1, stop, blocks, panels_of_one, out)
        words.saturated_pairs(strips, x, 0, depth, panels, w, width, 0, 0, 0, 0, registers, more)
        store(registers, nothing, 0, height, width, drop, out, at)
    return 0
