"""Registers in floats: float32 that rounds, and fixed point that saturates.

What 1 of a block's sum stands for is the product of a factor of its row and one of its column. The caller has proven
that a sum times both is exact in the type of the factors, or is rounded to float32 by the last product alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels.blocks.tiles import sum_block
from ptqsim.kernels.codegen.geometry import COLUMNS, ROWS
from ptqsim.kernels.matmul.tiles import part, place, put
from ptqsim.kernels.runtime.jit import inlined, jit
from ptqsim.kernels.runtime.team import shared


@jit
def float32_tiles(
    start: int, stop: int, team: int, which: Any, pairs: Any, strips: Any, panels: Any, size: int, rows: Any,
    columns: Any, out: Any,
) -> int:  # fmt: skip
    """Values of blocks rounded to float32 and added in it, in order.

    Parameters
    ----------
    which, pairs, strips, panels : array
        As for the kernels of `accumulate`; lanes of one type, or words of two int16.
    size : int
        Lines of the strips that are a block.
    rows, columns : array
        Factors of blocks, [A, M, block] and [B, block, N], in float32 or float64.
    out : array
        float32 [batch, M, N].
    """
    start = shared(start, stop, team)
    blocks, panels_of_one = strips.shape[1], panels.shape[1]
    registers, more = np.empty((ROWS, COLUMNS), strips.dtype), np.empty((0, 0), np.int32)
    totals = np.empty((ROWS, COLUMNS), np.float32)
    for index in range(start, stop):
        batch, panel, block = place(which[index], panels_of_one, blocks)
        left, right = pairs[batch, 0], pairs[batch, 1]
        height, width, _ = part(batch, panel, block, out.shape)
        area = left * blocks + block, right * panels_of_one + panel, width
        totals[:] = 0
        for g in range(columns.shape[1]):
            sum_block(strips, panels, area, g, size, registers, more)
            of_columns = columns[right, g, panel * COLUMNS : panel * COLUMNS + width]
            for r in range(height):
                sums, total, factor = registers[r], totals[r], rows[left, block * ROWS + r, g]
                for j in range(width):
                    total[j] += np.float32(columns.dtype.type(sums[j]) * factor * of_columns[j])
        put(totals, batch, block, panel, out)
    return 0


@jit
def saturating_tiles(
    start: int, stop: int, team: int, which: Any, pairs: Any, strips: Any, panels: Any, size: int, rows: Any,
    columns: Any, half_even: bool, low: Any, high: Any, out: Any, counting: bool, events: Any,
) -> int:  # fmt: skip
    """Values of blocks on the grid of the integers, added in a register that clamps.

    As for `float32_tiles`, but that the factors count in units of the register's least bit. `low` and `high` are its
    limits in the type of the factors, and `out` is int64. If `counting`, `events` int32 [batch, M, N] counts the sums
    that were changed.
    """
    start = shared(start, stop, team)
    blocks, panels_of_one = strips.shape[1], panels.shape[1]
    registers, more = np.empty((ROWS, COLUMNS), strips.dtype), np.empty((0, 0), np.int32)
    totals, counts = np.empty((ROWS, COLUMNS), columns.dtype), np.empty((ROWS, COLUMNS), np.int32)
    terms = np.empty(COLUMNS, columns.dtype)
    for index in range(start, stop):
        batch, panel, block = place(which[index], panels_of_one, blocks)
        left, right = pairs[batch, 0], pairs[batch, 1]
        height, width, _ = part(batch, panel, block, out.shape)
        area = left * blocks + block, right * panels_of_one + panel, width
        totals[:] = 0
        if counting:
            counts[:] = 0
        for g in range(columns.shape[1]):
            sum_block(strips, panels, area, g, size, registers, more)
            of_columns = columns[right, g, panel * COLUMNS : panel * COLUMNS + width]
            for r in range(height):
                sums, total, factor = registers[r], totals[r], rows[left, block * ROWS + r, g]
                if half_even:
                    for j in range(width):
                        terms[j] = np.rint(columns.dtype.type(sums[j]) * factor * of_columns[j])
                else:
                    for j in range(width):
                        terms[j] = np.floor(columns.dtype.type(sums[j]) * factor * of_columns[j])
                if counting:
                    _clamp_counted(total, terms, counts[r], low, high, width)
                else:
                    for j in range(width):
                        total[j] = min(max(total[j] + terms[j], low), high)
        put(totals, batch, block, panel, out)
        if counting:
            put(counts, batch, block, panel, events)
    return 0


@inlined
def _clamp_counted(total: Any, terms: Any, counts: Any, low: Any, high: Any, width: int) -> None:
    for j in range(width):
        exact = total[j] + terms[j]
        kept = min(max(exact, low), high)
        counts[j] += kept != exact
        total[j] = kept
