"""Accumulation in tiles whose register has another overflow mode than the outer one: `lanes` has the loops.

One of the two registers wraps and the other saturates. The outer ones start from a number for each column, as in
`preloaded`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels.codegen import vector, words
from ptqsim.kernels.codegen.geometry import COLUMNS, ROWS
from ptqsim.kernels.codegen.store import store
from ptqsim.kernels.matmul.lanes import SATURATE, SATURATE_COUNTED, WRAP, WRAP_COUNTED, accumulate_tiles
from ptqsim.kernels.matmul.tiles import expect, load, operands, part
from ptqsim.kernels.runtime.jit import jit
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
    tiles, limits = (start, stop, which, pairs), (inner_low, inner_high, low, high)
    plain, counted = (SATURATE, SATURATE_COUNTED) if inner_saturates else (WRAP, WRAP_COUNTED)
    how = counted if counting else plain
    accumulate_tiles(
        how, vector.saturate_in_wrap, vector.saturate_in_wrap_counted,
        vector.wrap_in_saturate, vector.wrap_in_saturate_counted,
        tiles, strips, panels, load, initial, group, limits, out, counting, events,
    )  # fmt: skip
    return 0


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
        batch, panel, block, x, w = operands(which[index], pairs, strips, panels)
        height, width, at = part(batch, panel, block, out.shape)
        expect(which, index + 1, stop, blocks, panels_of_one, out)
        words.saturated_pairs(strips, x, 0, depth, panels, w, width, 0, 0, 0, 0, registers, more)
        store(registers, nothing, 0, height, width, drop, out, at)
    return 0
