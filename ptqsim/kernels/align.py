"""Codes to what products are made of: tables looked up, panels cut, bytes put together, and norms that bound sums."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels._jit import jit
from ptqsim.kernels.interpreted import COLUMNS, ROWS

PAIR, QUAD = (0, 1), (0, 1, 2, 3)
"""The parts of a word: tuples, as what loops over one is compiled for its length."""


@jit
def panel_values(start: int, stop: int, codes: Any, table: Any, panels: Any) -> int:
    """Codes [B, K, N] through a table into panels [B, panel, K, COLUMNS], zero beyond N.

    `start` and `stop` are numbers of panels, as below of strips.
    """
    depth, columns = codes.shape[1], codes.shape[2]
    for index in range(start, stop):
        batch, panel = index // panels.shape[1], index % panels.shape[1]
        first = panel * COLUMNS
        width = min(COLUMNS, columns - first)
        for k in range(depth):
            for j in range(width):
                panels[batch, panel, k, j] = table[codes[batch, k, first + j]]
            for j in range(width, COLUMNS):
                panels[batch, panel, k, j] = 0
    return 0


@jit
def strip_values(start: int, stop: int, codes: Any, table: Any, strips: Any) -> int:
    """Codes [A, M, K] through a table into strips [A, block, K, ROWS], zero beyond M."""
    rows, depth = codes.shape[1], codes.shape[2]
    for index in range(start, stop):
        matrix, block = index // strips.shape[1], index % strips.shape[1]
        strip = strips[matrix, block]
        height = min(ROWS, rows - block * ROWS)
        for r in range(height):
            line = codes[matrix, block * ROWS + r]
            for k in range(depth):
                strip[k, r] = table[line[k]]
        for r in range(height, ROWS):
            for k in range(depth):
                strip[k, r] = 0
    return 0


@jit
def word_strips(start: int, stop: int, parts: Any, codes: Any, table: Any, strips: Any) -> int:
    """Codes [A, M, K] through a table into words of P parts, strips [A, block, K / P, ROWS, P], zero beyond K and M."""
    rows, depth, size = codes.shape[1], codes.shape[2], len(parts)
    for index in range(start, stop):
        matrix, block = index // strips.shape[1], index % strips.shape[1]
        strip = strips[matrix, block]
        strip[:] = 0
        for r in range(min(ROWS, rows - block * ROWS)):
            line = codes[matrix, block * ROWS + r]
            for word in range(depth // size):
                for part in range(size):
                    strip[word, r, part] = table[line[size * word + part]]
            for k in range(depth // size * size, depth):
                strip[k // size, r, k % size] = table[line[k]]
    return 0


@jit
def byte_lines(start: int, stop: int, codes: Any, table: Any, lines: Any) -> int:
    """Codes [A, M, K] through a table of bytes into lines [A, M or more, depth], zero beyond K and M.

    `start` and `stop` are numbers of lines.
    """
    rows, depth = codes.shape[1], codes.shape[2]
    for index in range(start, stop):
        matrix, row = index // lines.shape[1], index % lines.shape[1]
        line = lines[matrix, row]
        if row < rows:
            for k in range(depth):
                line[k] = table[codes[matrix, row, k]]
            line[depth:] = 0
        else:
            line[:] = 0
    return 0


@jit
def word_panels(start: int, stop: int, parts: Any, codes: Any, table: Any, panels: Any, sums: Any) -> int:
    """Codes [B, K, N] through a table into words of P parts, panels [B, panel, K / P, COLUMNS, P], zero beyond K and N.

    `sums` [B, panel * COLUMNS] gets the sum of each column, mod 2**32.
    """
    depth, columns, size = codes.shape[1], codes.shape[2], len(parts)
    line = np.empty((size, COLUMNS), panels.dtype)
    total = np.empty(COLUMNS, np.int32)
    for index in range(start, stop):
        batch, panel = index // panels.shape[1], index % panels.shape[1]
        first = panel * COLUMNS
        width = min(COLUMNS, columns - first)
        total[:] = 0
        line[:] = 0
        for word in range(panels.shape[2]):
            for part in range(size):
                k = size * word + part
                if k < depth:
                    for j in range(width):
                        line[part, j] = table[codes[batch, k, first + j]]
                    for j in range(width):
                        total[j] += line[part, j]
                else:
                    line[part] = 0
            for j in range(COLUMNS):
                for part in range(size):
                    panels[batch, panel, word, j, part] = line[part, j]
        for j in range(COLUMNS):
            sums[batch, first + j] = total[j]
    return 0


@jit
def row_norms(start: int, stop: int, codes: Any, magnitudes: Any, peak: Any, total: Any, energy: Any) -> int:
    """Largest magnitude, sum of magnitudes and sum of their squares of the rows [start, stop) of codes [rows, K].

    In the type of the table `magnitudes`: float64, or int64 where no sum overflows.
    """
    depth = codes.shape[1]
    line = np.empty(depth, magnitudes.dtype)
    zero = magnitudes.dtype.type(0)
    for i in range(start, stop):
        for k in range(depth):
            line[k] = magnitudes[codes[i, k]]
        largest, sum_of_magnitudes, sum_of_squares = zero, zero, zero
        for k in range(depth):
            magnitude = line[k]
            largest = max(largest, magnitude)
            sum_of_magnitudes += magnitude
            sum_of_squares += magnitude * magnitude
        peak[i], total[i], energy[i] = largest, sum_of_magnitudes, sum_of_squares
    return 0


@jit
def column_norms(start: int, stop: int, codes: Any, magnitudes: Any, peak: Any, total: Any, energy: Any) -> int:
    """Norms of the columns of the matrices [start, stop) of codes [batch, K, N]; the norms [batch, N] come as zeros."""
    depth, columns = codes.shape[1], codes.shape[2]
    line = np.empty(columns, magnitudes.dtype)
    for batch in range(start, stop):
        for k in range(depth):
            for j in range(columns):
                line[j] = magnitudes[codes[batch, k, j]]
            for j in range(columns):
                magnitude = line[j]
                peak[batch, j] = max(peak[batch, j], magnitude)
                total[batch, j] += magnitude
                energy[batch, j] += magnitude * magnitude
    return 0
