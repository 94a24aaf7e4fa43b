"""Accumulation one addition at a time in registers that do not start at zero but from a number for each column.

The same loops as in `accumulate`, for datapaths whose registers are loaded beforehand. The sequential order has one
register, and is the groups whose names end in `_on`; in other orders what is loaded is that of the outer register, and
inner ones start at zero. `initial` [B, panel * COLUMNS] is in the type of the registers and within their limits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels.codegen import vector, words
from ptqsim.kernels.codegen.geometry import COLUMNS, ROWS
from ptqsim.kernels.codegen.store import store
from ptqsim.kernels.matmul.accumulate import SATURATE, SATURATE_COUNTED, WRAP, keep, step
from ptqsim.kernels.matmul.tiles import load, part, place, put
from ptqsim.kernels.runtime.jit import inlined, jit
from ptqsim.kernels.runtime.team import shared


@jit
def lane_tiles(
    start: int, stop: int, team: int, which: Any, pairs: Any, strips: Any, panels: Any, initial: Any, on: bool,
    group: int, how: int, inner_low: Any, inner_high: Any, low: Any, high: Any, out: Any, counting: bool, events: Any,
) -> int:  # fmt: skip
    """As `accumulate.lane_tiles`; `on` for the sequential order."""
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
            if on:
                _step_on(
                    strips, x, first, stop_at, panels, w, width, inner_low, inner_high, low, high, registers, count, how
                )
            else:
                step(
                    strips, x, first, stop_at, panels, w, width, inner_low, inner_high, low, high, registers, count, how
                )
        put(registers, batch, block, panel, out)
        if counting:
            put(count, batch, block, panel, events)
    return 0


@inlined
def _step_on(
    strips: Any, x: int, first: int, stop: int, panels: Any, w: int, width: int,
    inner_low: Any, inner_high: Any, low: Any, high: Any, registers: Any, count: Any, how: int,
) -> None:  # fmt: skip
    if how == SATURATE:
        vector.saturate_on(strips, x, first, stop, panels, w, width, inner_low, inner_high, low, high, registers, count)
    elif how == SATURATE_COUNTED:
        vector.saturate_counted_on(
            strips, x, first, stop, panels, w, width, inner_low, inner_high, low, high, registers, count
        )
    elif how == WRAP:
        vector.wrap_on(strips, x, first, stop, panels, w, width, inner_low, inner_high, low, high, registers, count)
    else:
        vector.wrap_counted_on(
            strips, x, first, stop, panels, w, width, inner_low, inner_high, low, high, registers, count
        )


@jit
def word_tiles(
    start: int, stop: int, team: int, which: Any, pairs: Any, strips: Any, panels: Any, initial: Any, how: int,
    scale: Any, out: Any, counting: bool, events: Any,
) -> int:  # fmt: skip
    """Accumulation of words in the sequential order; `scale` as in `words`."""
    start = shared(start, stop, team)
    depth = strips.shape[2]
    registers = np.empty((ROWS, COLUMNS), np.int32)
    count = np.empty((ROWS, COLUMNS), np.int32)
    nothing = np.empty(COLUMNS, np.int32)
    nothing[:] = 0
    for index in range(start, stop):
        batch, panel, block = place(which[index], panels.shape[1], strips.shape[1])
        x = (pairs[batch, 0] * strips.shape[1] + block) * depth
        w = (pairs[batch, 1] * panels.shape[1] + panel) * depth
        height, width, at = part(batch, panel, block, out.shape)
        load(initial, pairs[batch, 1], panel, registers)
        count[:] = 0
        if how == SATURATE:
            words.saturate_on(strips, x, 0, depth, panels, w, width, scale, scale, 0, 0, registers, count)
        elif how == SATURATE_COUNTED:
            words.saturate_counted_on(strips, x, 0, depth, panels, w, width, scale, scale, 0, 0, registers, count)
        elif how == WRAP:
            words.wrap_on(strips, x, 0, depth, panels, w, width, scale, scale, 0, 0, registers, count)
        else:
            words.wrap_counted_on(strips, x, 0, depth, panels, w, width, scale, scale, 0, 0, registers, count)
        store(registers, nothing, 0, height, width, 0, out, at)
        if counting:
            put(count, batch, block, panel, events)
    return 0


@jit
def prefix_range(
    start: int, stop: int, team: int, which: Any, pairs: Any, strips: Any, panels: Any, initial: Any, on: bool,
    columns: int, group: int, unit: int, found: Any,
) -> int:  # fmt: skip
    """As `accumulate.prefix_range`; what was loaded is not one of the sums. With `on` inner and outer ones are all."""
    start = shared(start, stop, team)
    registers, extremes = np.empty((ROWS, COLUMNS), strips.dtype), np.empty((4, COLUMNS), strips.dtype)
    extremes[:] = 0
    depth = strips.shape[2]
    for index in range(start, stop):
        batch, panel, block = place(which[index], panels.shape[1], strips.shape[1])
        x = (pairs[batch, 0] * strips.shape[1] + block) * depth
        w = (pairs[batch, 1] * panels.shape[1] + panel) * depth
        width = min(COLUMNS, columns - panel * COLUMNS)
        load(initial, pairs[batch, 1], panel, registers)
        for first in range(0, depth, group):
            stop_at = min(first + group, depth)
            if on:
                vector.prefixes_on(strips, x, first, stop_at, panels, w, width, 0, 0, 0, 0, registers, extremes)
            else:
                vector.prefixes(strips, x, first, stop_at, panels, w, width, 0, 0, 0, 0, registers, extremes)
    if start < stop:
        keep(extremes, found[start // unit])
    return 0
