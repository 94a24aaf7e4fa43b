"""Exact products of bytes by the processor's matrix unit (see `_matrix_unit`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels.codegen.geometry import COLUMNS, ROWS
from ptqsim.kernels.codegen.matrix_unit import HEIGHT, SHAPES, configure, multiply, release
from ptqsim.kernels.codegen.store import store
from ptqsim.kernels.matmul.tiles import below, part, place, subtract_lines
from ptqsim.kernels.runtime.jit import inlined, jit
from ptqsim.kernels.runtime.team import shared

BLOCKS = HEIGHT // ROWS
"""Tiles below each other that are multiplied together, if they follow each other in the list."""


@jit
def matrix_tiles(
    start: int, stop: int, team: int, which: Any, pairs: Any, terms: Any, strips: Any, panels: Any, correction: Any,
    lines: Any, drop: int, out: Any,
) -> bool:  # fmt: skip
    """The same as `exact.exact_tiles`, on bytes in the layout of the matrix unit.

    `strips` [planes, A, lines, K] are rows, with some more lines after the last, and `panels` [planes, B, panel,
    K / 64, 6, 16, 16] words of four bytes in tiles. Both have zeros up to a depth K that is a multiple of 64.
    """
    start = shared(start, stop, team)
    depth, panels_of_one, blocks = strips.shape[3], panels.shape[2], -(-out.shape[1] // ROWS)
    registers = np.empty((HEIGHT, COLUMNS), np.int32)
    changed = np.int64(0)
    configure(SHAPES)
    index = start
    while index < stop:
        batch, panel, block = place(which[index], panels_of_one, blocks)
        count = below(which, index, stop, block, blocks, BLOCKS)
        index += count
        left, right = pairs[batch, 0], pairs[batch, 1]
        _, width, at = part(batch, panel, block, out.shape)
        height = min(count * ROWS, out.shape[1] - block * ROWS)
        area = left, right, block * ROWS, height, panel, width
        sum_terms(terms, strips, panels, area, 0, depth, registers)
        corrected = right * correction.shape[1] + panel * COLUMNS
        if lines.shape[0]:
            subtract_lines(lines, left, block * ROWS, height, registers)
        changed |= store(registers, correction, corrected, height, width, drop, out, at)
    release()
    return bool(changed != 0)


@inlined
def sum_terms(terms: Any, strips: Any, panels: Any, area: Any, start: int, stop: int, registers: Any) -> None:
    """The sum over the terms between `start` and `stop` of the depth, for some rows of a panel.

    `area` holds the left and the right matrix, the first row, their number, the panel, and the columns in it.
    """
    left, right, row, height, panel, width = area
    for t in range(terms.shape[0]):
        strip = (terms[t, 0] * strips.shape[1] + left) * strips.shape[2] + row
        first = ((terms[t, 1] * panels.shape[1] + right) * panels.shape[2] + panel) * (strips.shape[3] // 4)
        if t and terms[t, 2]:
            for r in range(height):
                for j in range(COLUMNS):
                    registers[r, j] <<= np.int32(terms[t, 2])
        multiply(strips, strip, panels, first, strips.shape[3], start, stop, height, width, registers, t > 0)
