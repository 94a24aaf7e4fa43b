"""The position of tiles, and the storing of their results.

Tiles are numbered so that those of one panel follow each other and it stays in the cache.
"""

from __future__ import annotations

from typing import Any

from ptqsim.kernels.codegen.geometry import COLUMNS, ROWS
from ptqsim.kernels.codegen.store import fetch
from ptqsim.kernels.runtime.jit import inlined


@inlined
def place(tile: int, panels: int, blocks: int) -> tuple[int, int, int]:
    """Batch, panel and block of rows of a tile."""
    batch, rest = tile // (panels * blocks), tile % (panels * blocks)
    return batch, rest // blocks, rest % blocks


@inlined
def operands(tile: int, pairs: Any, strips: Any, panels: Any) -> tuple[int, int, int, int, int]:
    """Batch, panel and block of rows of a tile, and the lines of `strips` and `panels` where its operands begin."""
    blocks, panels_of_one, depth = strips.shape[1], panels.shape[1], strips.shape[2]
    batch, panel, block = place(tile, panels_of_one, blocks)
    x = (pairs[batch, 0] * blocks + block) * depth
    w = (pairs[batch, 1] * panels_of_one + panel) * depth
    return batch, panel, block, x, w


@inlined
def below(which: Any, index: int, stop: int, block: int, blocks: int, most: int) -> int:
    """Number of tiles from ``which[index]`` on that lie below each other, up to `most`."""
    count = 1
    while count < min(most, blocks - block, stop - index) and which[index + count] == which[index] + count:
        count += 1
    return count


@inlined
def part(batch: int, panel: int, block: int, shape: Any) -> tuple[int, int, int]:
    """Rows and columns of a tile that lie in a result of that shape, and the number of its first element there."""
    _, rows, columns = shape
    row, column = block * ROWS, panel * COLUMNS
    return min(ROWS, rows - row), min(COLUMNS, columns - column), (batch * rows + row) * columns + column


@inlined
def expect(which: Any, index: int, stop: int, blocks: int, panels: int, out: Any) -> None:
    """Ask for the memory of the tile that comes next, if there is one."""
    if index < stop:
        batch, panel, block = place(which[index], panels, blocks)
        height, width, at = part(batch, panel, block, out.shape)
        fetch(height, width, out, at)


@inlined
def subtract_lines(lines: Any, matrix: int, row: int, height: int, registers: Any) -> None:
    """Subtract from each row of registers, int32, what `lines` [A, M] has for it."""
    for r in range(height):
        line, less = registers[r], lines[matrix, row + r]
        for j in range(COLUMNS):
            line[j] -= less


@inlined
def put(values: Any, batch: int, block: int, panel: int, out: Any) -> None:
    """Store the part of a tile that is not beyond the last row or column."""
    row, column = block * ROWS, panel * COLUMNS
    width = min(COLUMNS, out.shape[2] - column)
    for r in range(min(ROWS, out.shape[1] - row)):
        line = out[batch, row + r, column : column + width]
        for j in range(width):
            line[j] = line.dtype.type(values[r, j])


@inlined
def clear(initial: Any, matrix: int, panel: int, registers: Any) -> None:
    """Zeros into registers, where `load` puts a number for each column."""
    registers[:] = 0


@inlined
def load(initial: Any, matrix: int, panel: int, registers: Any) -> None:
    """Put what `initial` [B, panel * COLUMNS] has for the columns of a panel into every row of registers."""
    line = initial[matrix, panel * COLUMNS : (panel + 1) * COLUMNS]
    for r in range(registers.shape[0]):
        for j in range(COLUMNS):
            registers[r, j] = line[j]
