"""Registers for the values of blocks in integers of two words: what no float holds, and what overflows step by step.

The value of a pair of blocks is sum * factor * 2**exponent. Its factor is the product of one of the row and one of the
column, of up to 4 bits each, and its exponent is the sum of theirs. Operands come in planes of integers in float64,
which holds every sum of products of two planes; these are put together with their shifts.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ptqsim.kernels.blocks import limbs
from ptqsim.kernels.blocks.tiles import sum_block
from ptqsim.kernels.codegen.geometry import COLUMNS, ROWS
from ptqsim.kernels.matmul.tiles import part, place, put
from ptqsim.kernels.runtime.jit import inlined, jit
from ptqsim.kernels.runtime.team import shared

WRAP, SATURATE, PREFIXES = range(3)
"""Registers that wrap, that saturate, and without limits, of which the least and the greatest value are found."""


@inlined
def _tile(index: int, which: Any, pairs: Any, strips: Any, panels: Any, shape: Any) -> Any:
    """The product, the strip, the panel and the width of a tile; and its matrices, first row and column, and sizes."""
    batch, panel, block = place(which[index], panels.shape[2], strips.shape[2])
    left, right = pairs[batch, 0], pairs[batch, 1]
    height, width, _ = part(batch, panel, block, shape)
    area = (batch, left * strips.shape[2] + block, right * panels.shape[2] + panel, width)
    return area, (left, right, block * ROWS, panel * COLUMNS, height, width)


@jit
def _values(
    strips: Any, panels: Any, shifts: Any, area: Any, lines: Any, factors: Any, g: int, size: int, room: Any
) -> None:  # fmt: skip
    """The sums of a block times the factors, in two words each, for a tile (see `_tile`)."""
    registers, high, low, more = room
    left, right, row, column, height, width = lines
    row_factors, column_factors = factors
    high[:], low[:] = 0, 0
    for p in range(strips.shape[0]):
        for q in range(panels.shape[0]):
            sum_block(strips[p], panels[q], area[1:], g, size, registers, more)
            for r in range(height):
                for j in range(width):
                    high[r, j], low[r, j] = limbs.plus(high[r, j], low[r, j], np.int64(registers[r, j]), shifts[p, q])
    for r in range(height):
        factor = row_factors[left, row + r, g]
        for j in range(width):
            of_both = factor * column_factors[right, g, column + j]
            high[r, j], low[r, j] = limbs.times(high[r, j], low[r, j], of_both)


@jit
def fixed_tiles(
    start: int, stop: int, team: int, which: Any, pairs: Any, strips: Any, panels: Any, shifts: Any, size: int,
    factors: Any, exponents: Any, how: int, weight: int, half_even: bool, bits: int, out: Any, counting: bool,
    events: Any, unit: int, found: Any,
) -> int:  # fmt: skip
    """Values of blocks added in a fixed-point register, one after the other.

    Parameters
    ----------
    which, pairs : array
        As for the kernels of `accumulate`.
    strips, panels : array
        Planes of the operands, float64 [plane, A, block, K, ROWS] and [plane, B, panel, K, COLUMNS].
    shifts : array
        Shift of the products of each pair of planes, up to 32, int64 [plane, plane].
    size : int
        Lines of a strip that are a block.
    factors, exponents : tuple of arrays
        Of the blocks of rows and columns, int64 [A, M, block] and [B, block, N].
    how : int
        One of the registers above.
    weight, half_even, bits : int and bool
        Exponent of the register's least bit, how values are brought to it, and its width, up to 63.
    out : array
        int64 [batch, M, N].
    counting, events : bool and array
        If and where the sums that the register does not hold are counted, int32 [batch, M, N].
    unit, found : int and array
        With `PREFIXES` the least and the greatest sum of the part from `start` on go to ``found[start // unit]``, int64
        [part, 2]; the caller knows that they are within int64.
    """
    start = shared(start, stop, team)
    room = (
        np.empty((ROWS, COLUMNS), strips.dtype), np.empty((ROWS, COLUMNS), np.int64),
        np.empty((ROWS, COLUMNS), np.int64), np.empty((0, 0), np.int32),
    )  # fmt: skip
    totals, counts = np.empty((ROWS, COLUMNS), np.int64), np.empty((ROWS, COLUMNS), np.int32)
    least, greatest = np.int64(0), np.int64(0)
    row_exponents, column_exponents = exponents
    for index in range(start, stop):
        area, lines = _tile(index, which, pairs, strips, panels, out.shape)
        left, right, row, column, height, width = lines
        totals[:] = 0
        counts[:] = 0
        for g in range(column_exponents.shape[1]):
            _values(strips, panels, shifts, area, lines, factors, g, size, room)
            high, low = room[1], room[2]
            for r in range(height):
                shift = row_exponents[left, row + r, g] - weight
                for j in range(width):
                    term, beyond = limbs.rounded(
                        high[r, j], low[r, j], shift + column_exponents[right, g, column + j], half_even
                    )
                    if how == PREFIXES:
                        totals[r, j] += term
                        least, greatest = min(least, totals[r, j]), max(greatest, totals[r, j])
                    else:
                        totals[r, j], changed = _added(totals[r, j], term, beyond, how == WRAP, bits)
                        counts[r, j] += changed
        put(totals, area[0], row // ROWS, column // COLUMNS, out)
        if counting:
            put(counts, area[0], row // ROWS, column // COLUMNS, events)
    if how == PREFIXES and start < stop:
        found[start // unit, 0], found[start // unit, 1] = least, greatest
    return 0


@jit
def _added(total: Any, term: Any, beyond: Any, wraps: Any, bits: Any) -> tuple[Any, Any]:
    """A register after an addition, and 1 if that is not the sum; a term `beyond` int64 comes as its low bits."""
    largest = (np.int64(1) << (bits - 1)) - 1
    above = beyond > 0 if beyond else term > largest - total
    below = beyond < 0 if beyond else term < -largest - 1 - total
    if wraps:
        kept = (total + term) << (64 - bits)
        return kept >> (64 - bits), 1 if above or below else 0
    if above:
        return largest, 1
    if below:
        return -largest - 1, 1
    return total + term, 0


@jit
def float32_tiles(
    start: int, stop: int, team: int, which: Any, pairs: Any, strips: Any, panels: Any, shifts: Any, size: int,
    factors: Any, exponents: Any, out: Any,
) -> int:  # fmt: skip
    """Values of blocks rounded to float32 and added in it, in order; `out` is float32, the rest as above."""
    start = shared(start, stop, team)
    room = (
        np.empty((ROWS, COLUMNS), strips.dtype), np.empty((ROWS, COLUMNS), np.int64),
        np.empty((ROWS, COLUMNS), np.int64), np.empty((0, 0), np.int32),
    )  # fmt: skip
    totals = np.empty((ROWS, COLUMNS), np.float32)
    row_exponents, column_exponents = exponents
    for index in range(start, stop):
        area, lines = _tile(index, which, pairs, strips, panels, out.shape)
        left, right, row, column, height, width = lines
        totals[:] = 0
        for g in range(column_exponents.shape[1]):
            _values(strips, panels, shifts, area, lines, factors, g, size, room)
            high, low = room[1], room[2]
            for r in range(height):
                of_row = row_exponents[left, row + r, g]
                for j in range(width):
                    exponent = of_row + column_exponents[right, g, column + j]
                    totals[r, j] += limbs.nearest_float32(high[r, j], low[r, j], exponent)
        put(totals, area[0], row // ROWS, column // COLUMNS, out)
    return 0


@jit
def aligned_tiles(
    start: int, stop: int, team: int, which: Any, pairs: Any, strips: Any, panels: Any, shifts: Any, size: int,
    factors: Any, exponents: Any, fraction_bits: int, group: int, out: Any,
) -> int:  # fmt: skip
    """Values of `group` blocks at a time, aligned with a float32 to the greatest of them and cut toward zero.

    Arguments as for `fixed_tiles`; `out` is float32 [batch, M, N].
    """
    start = shared(start, stop, team)
    room = (
        np.empty((ROWS, COLUMNS), strips.dtype), np.empty((ROWS, COLUMNS), np.int64),
        np.empty((ROWS, COLUMNS), np.int64), np.empty((0, 0), np.int32),
    )  # fmt: skip
    row_exponents, column_exponents = exponents
    count = column_exponents.shape[1]
    most = min(group, count)
    # High and low words and exponents; those of the register come last.
    terms = np.empty((3, most + 1, ROWS, COLUMNS), np.int64)
    totals = np.empty((ROWS, COLUMNS), np.float32)
    for index in range(start, stop):
        area, lines = _tile(index, which, pairs, strips, panels, out.shape)
        left, right, row, column, height, width = lines
        totals[:] = 0
        for first in range(0, count, group):
            several = min(group, count - first)
            for n in range(several):
                _values(strips, panels, shifts, area, lines, factors, first + n, size, room)
                high, low = room[1], room[2]
                # Element by element: numba compiles an assignment of arrays for seconds.
                for r in range(height):
                    of_row = row_exponents[left, row + r, first + n]
                    for j in range(width):
                        terms[0, n, r, j], terms[1, n, r, j] = high[r, j], low[r, j]
                        terms[2, n, r, j] = of_row + column_exponents[right, first + n, column + j]
            for r in range(height):
                for j in range(width):
                    fraction, exponent = math.frexp(np.float64(totals[r, j]))
                    whole = np.int64(math.ldexp(fraction, 24))
                    terms[0, several, r, j], terms[1, several, r, j] = whole >> 32, whole & 0xFFFFFFFF
                    terms[2, several, r, j] = exponent - 24
                    totals[r, j] = _aligned_sum(terms, several + 1, r, j, fraction_bits)
        put(totals, area[0], row // ROWS, column // COLUMNS, out)
    return 0


@jit
def _aligned_sum(terms: Any, count: int, r: int, j: int, fraction_bits: int) -> Any:
    """The sum of terms of which bits are kept below the greatest exponent; signs are kept apart meanwhile."""
    negative = np.int64(0)
    greatest, found = np.int64(0), False
    hi, lo, step = np.int64(0), np.int64(0), np.int64(0)
    for cutting in range(2):
        for n in range(count):
            high, low, exponent = terms[0, n, r, j], terms[1, n, r, j], terms[2, n, r, j]
            negative = high >> 63
            high, low = limbs.magnitude(high, low)
            if cutting:
                high, low = limbs.cut(high, low, exponent - step)
                # Of a negative term the complement, and 1: -x = ~x + 1.
                lo += (low ^ negative & 0xFFFFFFFF) - negative
                hi += (high ^ negative) + (lo >> 32)
                lo &= 0xFFFFFFFF
            else:
                bits = limbs.length(high, low)
                if bits:
                    greatest, found = (max(greatest, exponent + bits) if found else exponent + bits), True
        # `bits` is one more than the exponent of the leading bit.
        step = greatest - 1 - fraction_bits
    return limbs.float32_toward_zero(hi, lo, step)
