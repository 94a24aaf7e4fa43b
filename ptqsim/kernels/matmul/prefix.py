"""Least and greatest exact prefix sums, found from exact sums at the ends of segments of the depth.

A segment that adds d to a sum S, and the magnitudes of whose products sum to at most q, adds at most (q + d) / 2 in
positive products and at most (q - d) / 2 in negative ones. So no prefix sum within it is above S + (q + d) / 2 or below
S - (q - d) / 2. An output that so cannot reach beyond the least and greatest sums seen elsewhere is done with; the few
others are added up product by product. By Cauchy and Schwarz q is the product of the norms of the segment's operands.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels.codegen.geometry import COLUMNS, ROWS
from ptqsim.kernels.codegen.matrix_unit import HEIGHT, SHAPES, configure, release
from ptqsim.kernels.matmul import exact, matrix
from ptqsim.kernels.matmul.tiles import below, part, place
from ptqsim.kernels.runtime.jit import inlined, jit
from ptqsim.kernels.runtime.team import shared

SEGMENT = 64
"""Products of a segment."""

LIMIT = 1 << 28
"""Limit on the magnitude of any sum over a subset of an output's products, which keeps everything here in int32."""

NORM_LIMIT = 1 << 30
"""Limit on the product of two norms, for the same reason."""

# Of so many outputs of a tile one may be added up product by product; the tile is left to others if more have to be.
_RARE = 32


@jit
def dot_prefixes(
    start: int, stop: int, team: int, which: Any, pairs: Any, terms: Any, strips: Any, panels: Any, correction: Any,
    norms: Any, codes: Any, shape: Any, guess: Any, unit: int, found: Any, left_over: Any,
) -> int:  # fmt: skip
    """Least and greatest prefix sums, zero and a `guess` included, of operands in the layout of `exact`.

    Parameters
    ----------
    which, pairs, terms, strips, panels : array
        As for `exact.exact_tiles`.
    correction : array
        What the offsets of left mantissas add to each column in each segment, int32 [B, segment, N] mod 2**32.
    norms : array
        Of rows [A, M, segment] and columns [B, segment, N] in each segment, float32, rounded up.
    codes : array
        Codes [A, M, K] and table of the left operand, codes [B, K, N] and table of the right one.
    shape : array
        Of the result, (batch, M, N).
    guess : array
        Least and greatest prefix sum found elsewhere; parts of the work tell each other what they found. It decides
        how many outputs are gone through, not what is found.
    unit, found : int and array
        What was found in the part from `start` on goes to ``found[start // unit]``, int64 [part, 2].
    left_over : array
        bool, one per tile: set for those that were not gone through, as too many of their outputs reach too far.
    """
    start = shared(start, stop, team)
    depth, blocks, panels_of_one = strips.shape[3], strips.shape[2], panels.shape[2]
    seen, more = guess.copy(), np.empty((0, 0), np.int32)
    registers, state = np.empty((ROWS, COLUMNS), np.int32), np.empty((2, ROWS, COLUMNS), np.int32)
    for index in range(start, stop):
        batch, panel, block = place(which[index], panels_of_one, blocks)
        left, right = pairs[batch, 0], pairs[batch, 1]
        height, width, _ = part(batch, panel, block, shape)
        area = left, right, block * ROWS, height, panel, width
        state[:, :height] = 0
        for segment in range(norms[0].shape[2]):
            first = segment * (SEGMENT // 4)
            last = min(first + SEGMENT // 4, depth)
            of_tile = left, right, block, panel, width
            exact.sum_terms(True, terms, strips, panels, of_tile, first, last, registers, more)
            _go_on(registers, correction, norms, area, segment, state, seen)
        left_over[index] = not _finish(codes, area, state, seen)
    _keep(seen, start, stop, guess, unit, found)
    return 0


@jit
def matrix_prefixes(
    start: int, stop: int, team: int, which: Any, pairs: Any, terms: Any, strips: Any, panels: Any, correction: Any,
    norms: Any, codes: Any, shape: Any, guess: Any, unit: int, found: Any, left_over: Any,
) -> int:  # fmt: skip
    """The same of operands in the layout of `matrix`."""
    start = shared(start, stop, team)
    panels_of_one, blocks = panels.shape[2], -(-shape[1] // ROWS)
    seen = guess.copy()
    registers, state = np.empty((HEIGHT, COLUMNS), np.int32), np.empty((2, HEIGHT, COLUMNS), np.int32)
    configure(SHAPES)
    index = start
    while index < stop:
        batch, panel, block = place(which[index], panels_of_one, blocks)
        count = below(which, index, stop, block, blocks, matrix.BLOCKS)
        left, right = pairs[batch, 0], pairs[batch, 1]
        _, width, _ = part(batch, panel, block, shape)
        height = min(count * ROWS, shape[1] - block * ROWS)
        area = left, right, block * ROWS, height, panel, width
        state[:, :height] = 0
        for segment in range(norms[0].shape[2]):
            at = segment * SEGMENT
            matrix.sum_terms(terms, strips, panels, area, at, at + SEGMENT, registers)
            _go_on(registers, correction, norms, area, segment, state, seen)
        done = _finish(codes, area, state, seen)
        left_over[index : index + count] = not done
        index += count
    release()
    _keep(seen, start, stop, guess, unit, found)
    return 0


@inlined
def _keep(seen: Any, start: int, stop: int, guess: Any, unit: int, found: Any) -> None:
    if start < stop:
        found[start // unit, 0], found[start // unit, 1] = seen[0], seen[1]
        # What another thread writes at the same time may be lost.
        guess[0], guess[1] = min(guess[0], seen[0]), max(guess[1], seen[1])


@inlined
def _go_on(registers: Any, correction: Any, norms: Any, area: Any, segment: int, state: Any, seen: Any) -> None:
    """Add what a segment brings to the sums, and see how far they reach from the middle of what was seen."""
    left, right, row, height, panel, width = area
    column = panel * COLUMNS
    of_columns = norms[1][right, segment, column : column + width]
    offsets = correction[right, segment, column : column + width]
    middle = np.int32(seen[0] + seen[1])
    for r in range(height):
        of_row = norms[0][left, row + r, segment]
        for j in range(width):
            before = state[0, r, j]
            after = np.int32(before + np.int32(registers[r, j] - offsets[j]))
            # Twice of everything: S + (q + d) / 2 is half of S + (S + d) + q.
            away = np.int32(np.int32(before + after) - middle)
            reach = np.int32(np.int32(of_row * of_columns[j]) + abs(away))
            state[0, r, j] = after
            state[1, r, j] = max(state[1, r, j], reach)


@inlined
def _finish(codes: Any, area: Any, state: Any, seen: Any) -> bool:
    """Add up the outputs that reach beyond what was seen, product by product; false, and none, if they are many."""
    left, right, row, height, panel, width = area
    column = panel * COLUMNS
    middle = seen[0] + seen[1]
    least, greatest = np.int32(seen[0]), np.int32(seen[1])
    for r in range(height):
        for j in range(width):
            least, greatest = min(least, state[0, r, j]), max(greatest, state[0, r, j])
    seen[0], seen[1] = least, greatest
    limit = np.int32(min(2 * seen[1] - middle, middle - 2 * seen[0]))
    many = 0
    for r in range(height):
        for j in range(width):
            many += state[1, r, j] > limit
    if many * _RARE > height * width:
        return False
    if many:
        a, a_table, b, b_table = codes
        for r in range(height):
            for j in range(width):
                if state[1, r, j] > limit:
                    total = np.int64(0)
                    for k in range(a.shape[2]):
                        total += a_table[a[left, row + r, k]] * b_table[b[right, k, column + j]]
                        seen[0], seen[1] = min(seen[0], total), max(seen[1], total)
    return True
