"""The loops of accumulation in lanes of one machine type, for any groups of steps and any start of the registers.

`groups`, wherever it stands here, are four functions of `vector` or `words` that only differ in how they bound a sum:
saturating, saturating and counting, wrapping, wrapping and counting. They come one by one, as the compiler has no tuple
of functions. `begin` is `clear` or `load` of `tiles`, and `initial` what the latter loads.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels.codegen.geometry import COLUMNS, ROWS
from ptqsim.kernels.matmul.tiles import operands, put
from ptqsim.kernels.runtime.jit import inlined

SATURATE, SATURATE_COUNTED, SATURATE_MARKED, WRAP, WRAP_COUNTED = range(5)
"""Ways to accumulate. Marks say that a sum was changed, and not how often."""


@inlined
def step(
    how: int, saturate: Any, saturate_counted: Any, wrap: Any, wrap_counted: Any,
    strips: Any, x: int, first: int, stop: int, panels: Any, w: int, width: int, limits: Any, registers: Any,
    count: Any,
) -> None:  # fmt: skip
    """One group of products, in the way `how`; `limits` are the inner and the outer ones."""
    inner_low, inner_high, low, high = limits
    if how == SATURATE:
        saturate(strips, x, first, stop, panels, w, width, inner_low, inner_high, low, high, registers, count)
    elif how == SATURATE_COUNTED:
        saturate_counted(strips, x, first, stop, panels, w, width, inner_low, inner_high, low, high, registers, count)
    elif how == WRAP:
        wrap(strips, x, first, stop, panels, w, width, inner_low, inner_high, low, high, registers, count)
    else:
        wrap_counted(strips, x, first, stop, panels, w, width, inner_low, inner_high, low, high, registers, count)


@inlined
def accumulate_tiles(
    how: int, saturate: Any, saturate_counted: Any, wrap: Any, wrap_counted: Any,
    tiles: Any, strips: Any, panels: Any, begin: Any, initial: Any, group: int, limits: Any, out: Any, counting: bool,
    events: Any,
) -> None:  # fmt: skip
    """A part of the tiles, ``start, stop, which, pairs``; if `counting`, `events` [batch, M, N] counts changed sums."""
    start, stop, which, pairs = tiles
    depth, columns = strips.shape[2], out.shape[2]
    registers = np.empty((ROWS, COLUMNS), strips.dtype)
    count = np.empty((ROWS, COLUMNS), np.int32)
    for index in range(start, stop):
        batch, panel, block, x, w = operands(which[index], pairs, strips, panels)
        width = min(COLUMNS, columns - panel * COLUMNS)
        begin(initial, pairs[batch, 1], panel, registers)
        if counting:
            count[:] = 0
        for first in range(0, depth, group):
            stop_at = min(first + group, depth)
            step(
                how, saturate, saturate_counted, wrap, wrap_counted,
                strips, x, first, stop_at, panels, w, width, limits, registers, count,
            )  # fmt: skip
        put(registers, batch, block, panel, out)
        if counting:
            put(count, batch, block, panel, events)


@inlined
def keep_range(
    prefixes: Any, tiles: Any, strips: Any, panels: Any, begin: Any, initial: Any, columns: int, group: int, dtype: Any,
    unit: int, found: Any,
) -> None:  # fmt: skip
    """The range of the prefix sums that `prefixes` of `vector` or `words` finds in a part of the tiles."""
    start, stop, which, pairs = tiles
    registers, extremes = np.empty((ROWS, COLUMNS), dtype), np.empty((4, COLUMNS), dtype)
    extremes[:] = 0
    depth = strips.shape[2]
    for index in range(start, stop):
        batch, panel, _, x, w = operands(which[index], pairs, strips, panels)
        width = min(COLUMNS, columns - panel * COLUMNS)
        begin(initial, pairs[batch, 1], panel, registers)
        for first in range(0, depth, group):
            stop_at = min(first + group, depth)
            prefixes(strips, x, first, stop_at, panels, w, width, 0, 0, 0, 0, registers, extremes)
    if start < stop:
        kept = found[start // unit]
        for j in range(COLUMNS):
            kept[0], kept[1] = min(kept[0], np.int64(extremes[0, j])), max(kept[1], np.int64(extremes[1, j]))
            kept[2], kept[3] = min(kept[2], np.int64(extremes[2, j])), max(kept[3], np.int64(extremes[3, j]))
