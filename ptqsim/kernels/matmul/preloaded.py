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
from ptqsim.kernels.matmul.lanes import accumulate_tiles, keep_range, step
from ptqsim.kernels.matmul.tiles import load, operands, part, put
from ptqsim.kernels.runtime.jit import jit
from ptqsim.kernels.runtime.team import shared


@jit
def lane_tiles(
    start: int, stop: int, team: int, which: Any, pairs: Any, strips: Any, panels: Any, initial: Any, on: bool,
    group: int, how: int, inner_low: Any, inner_high: Any, low: Any, high: Any, out: Any, counting: bool, events: Any,
) -> int:  # fmt: skip
    """As `accumulate.lane_tiles`; `on` for the sequential order."""
    start = shared(start, stop, team)
    tiles, limits = (start, stop, which, pairs), (inner_low, inner_high, low, high)
    if on:
        accumulate_tiles(
            how, vector.saturate_on, vector.saturate_counted_on, vector.wrap_on, vector.wrap_counted_on,
            tiles, strips, panels, load, initial, group, limits, out, counting, events,
        )  # fmt: skip
    else:
        accumulate_tiles(
            how, vector.saturate, vector.saturate_counted, vector.wrap, vector.wrap_counted,
            tiles, strips, panels, load, initial, group, limits, out, counting, events,
        )  # fmt: skip
    return 0


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
        batch, panel, block, x, w = operands(which[index], pairs, strips, panels)
        height, width, at = part(batch, panel, block, out.shape)
        load(initial, pairs[batch, 1], panel, registers)
        count[:] = 0
        step(
            how, words.saturate_on, words.saturate_counted_on, words.wrap_on, words.wrap_counted_on,
            strips, x, 0, depth, panels, w, width, (scale, scale, 0, 0), registers, count,
        )  # fmt: skip
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
    tiles = (start, stop, which, pairs)
    if on:
        keep_range(vector.prefixes_on, tiles, strips, panels, load, initial, columns, group, strips.dtype, unit, found)
    else:
        keep_range(vector.prefixes, tiles, strips, panels, load, initial, columns, group, strips.dtype, unit, found)
    return 0
