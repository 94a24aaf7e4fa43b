"""Codes to what products are made of: tables looked up, panels cut, bytes put together, and norms that bound sums."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels.codegen.geometry import COLUMNS, ROWS
from ptqsim.kernels.codegen.transpose import transpose
from ptqsim.kernels.runtime.jit import jit
from ptqsim.kernels.runtime.team import shared


@jit
def panel_values(start: int, stop: int, team: int, codes: Any, table: Any, panels: Any) -> int:
    """Codes [B, K, N] through a table into panels [B, panel, K, COLUMNS], zero beyond N.

    `start` and `stop` are numbers of panels, as below of strips.
    """
    start = shared(start, stop, team)
    depth, columns = codes.shape[1], codes.shape[2]
    for index in range(start, stop):
        batch, panel = index // panels.shape[1], index % panels.shape[1]
        first = panel * COLUMNS
        width = min(COLUMNS, columns - first)
        for k in range(depth):
            # From zero on: an index that could be negative takes longer.
            line, source = panels[batch, panel, k], codes[batch, k, first : first + width]
            for j in range(width):
                line[j] = table[source[j]]
            line[width:] = 0
    return 0


@jit
def strip_values(start: int, stop: int, team: int, codes: Any, table: Any, strips: Any) -> int:
    """Codes [A, M, K] through a table into strips [A, block, K, ROWS], zero beyond M."""
    start = shared(start, stop, team)
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
def word_strips(start: int, stop: int, team: int, codes: Any, table: Any, rule: Any, strips: Any) -> int:
    """Codes [A, M, K] through a table into strips of words, int32 [A, block, K / parts, ROWS], zero beyond K and M.

    `rule` int32 [6] is what `table` follows from: low, high, flip, added, sign (0 or -1) and other, for values of
    ±((code ^ flip) + added) + other where low <= code < high, and of `other` elsewhere. That is done in vector code; of
    a table that follows from nothing `high` is zero.
    """
    start = shared(start, stop, team)
    rows, count = codes.shape[1], strips.shape[2]
    low, high, flip, added, sign, other = rule[0], rule[1], rule[2], rule[3], rule[4], rule[5]
    parts = np.empty(ROWS * 4 * count, table.dtype)  # as many as words have at most
    parts[:] = 0
    words = parts.view(np.int32)
    of_row, whole = len(parts) // len(words) * count, count // ROWS * ROWS
    for index in range(start, stop):
        matrix, block = index // strips.shape[1], index % strips.shape[1]
        strip = strips[matrix, block]
        height = min(ROWS, rows - block * ROWS)
        for r in range(height):
            source, target = codes[matrix, block * ROWS + r], parts[r * of_row : (r + 1) * of_row]
            if high:
                for i in range(len(source)):
                    code = np.int32(source[i])
                    value = (((code ^ flip) + added) ^ sign) - sign if low <= code < high else np.int32(0)
                    target[i] = parts.dtype.type(value + other)
            else:
                for i in range(len(source)):
                    target[i] = table[source[i]]
        parts[height * of_row :] = 0
        first = (matrix * strips.shape[1] + block) * count
        for word in range(0, whole, ROWS):
            transpose(words, word, count, strips, (first + word) * ROWS)
        for word in range(whole, count):
            for r in range(ROWS):
                strip[word, r] = words[r * count + word]
    return 0


@jit
def byte_lines(start: int, stop: int, team: int, codes: Any, table: Any, lines: Any) -> int:
    """Codes [A, M, K] through a table of bytes into lines [A, M or more, depth], zero beyond K and M.

    `start` and `stop` are numbers of lines.
    """
    start = shared(start, stop, team)
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
def word_panels(
    start: int, stop: int, team: int, parts: int, codes: Any, table: Any, rule: Any, panels: Any, sums: Any
) -> int:  # fmt: skip
    """Codes [B, K, N] through a table into panels of words, int32 [B, panel, K / parts, COLUMNS], zero beyond K and N.

    The table is in int32, and `rule` as for `word_strips`. `sums` [B, panel * COLUMNS] gets the sum of each column, mod
    2**32.
    """
    start = shared(start, stop, team)
    depth, columns = codes.shape[1], codes.shape[2]
    low, high, flip, added, sign, other = rule[0], rule[1], rule[2], rule[3], rule[4], rule[5]
    bits = 32 // parts
    mask = np.int32((1 << bits) - 1)
    total = np.empty(COLUMNS, np.int32)
    for index in range(start, stop):
        batch, panel = index // panels.shape[1], index % panels.shape[1]
        first = panel * COLUMNS
        width = min(COLUMNS, columns - first)
        for j in range(COLUMNS):
            total[j] = 0
        for word in range(panels.shape[2]):
            line = panels[batch, panel, word]
            for j in range(COLUMNS):
                line[j] = 0
            for part in range(min(parts, depth - word * parts)):
                place = np.int32(bits * part)
                source = codes[batch, word * parts + part, first : first + width]
                if high:
                    for j in range(width):
                        code = np.int32(source[j])
                        value = (((code ^ flip) + added) ^ sign) - sign if low <= code < high else np.int32(0)
                        total[j] += value + other
                        line[j] |= ((value + other) & mask) << place
                else:
                    for j in range(width):
                        value = table[source[j]]
                        total[j] += value
                        line[j] |= (value & mask) << place
        for j in range(COLUMNS):
            sums[batch, first + j] = total[j]
    return 0


@jit
def word_panels_of_rows(
    start: int, stop: int, team: int, codes: Any, table: Any, rule: Any, panels: Any, sums: Any
) -> int:  # fmt: skip
    """Panels as of `word_panels`, of the transposed of codes [B, N, K]; the table is one of parts."""
    start = shared(start, stop, team)
    columns, depth = codes.shape[1], codes.shape[2]
    low, high, flip, added, sign, other = rule[0], rule[1], rule[2], rule[3], rule[4], rule[5]
    count = panels.shape[2]
    parts = np.empty(count * 4, table.dtype)  # as many as words have at most
    parts[:] = 0
    words = parts.view(np.int32)
    for index in range(start, stop):
        batch, panel = index // panels.shape[1], index % panels.shape[1]
        first = panel * COLUMNS
        width = min(COLUMNS, columns - first)
        target = panels[batch, panel]
        for j in range(width):
            source = codes[batch, first + j]
            total = np.int32(0)
            if high:
                for k in range(depth):
                    code = np.int32(source[k])
                    value = (((code ^ flip) + added) ^ sign) - sign if low <= code < high else np.int32(0)
                    total += value + other
                    parts[k] = parts.dtype.type(value + other)
            else:
                for k in range(depth):
                    value = table[source[k]]
                    total += value
                    parts[k] = value
            for word in range(count):
                target[word, j] = words[word]
            sums[batch, first + j] = total
        for word in range(count):
            target[word, width:] = 0
        sums[batch, first + width : first + COLUMNS] = 0
    return 0


@jit
def row_norms(start: int, stop: int, team: int, codes: Any, magnitudes: Any, peak: Any, total: Any, energy: Any) -> int:
    """Largest magnitude, sum of magnitudes and sum of their squares of the rows [start, stop) of codes [rows, K].

    In the type of the table `magnitudes`: float64, or an integer type where no sum overflows.
    """
    start = shared(start, stop, team)
    depth = codes.shape[1]
    line = np.empty(depth, magnitudes.dtype)
    zero = magnitudes.dtype.type(0)
    for i in range(start, stop):
        source = codes[i]
        for k in range(depth):
            line[k] = magnitudes[source[k]]
        largest, sum_of_magnitudes, sum_of_squares = zero, zero, zero
        for k in range(depth):
            magnitude = line[k]
            largest = max(largest, magnitude)
            sum_of_magnitudes += magnitude
            sum_of_squares += magnitude * magnitude
        peak[i], total[i], energy[i] = largest, sum_of_magnitudes, sum_of_squares
    return 0


@jit
def column_norms(
    start: int, stop: int, team: int, codes: Any, magnitudes: Any, peak: Any, total: Any, energy: Any
) -> int:
    """Norms of the columns of the matrices [start, stop) of codes [batch, K, N]; the norms [batch, N] come as zeros."""
    start = shared(start, stop, team)
    depth, columns = codes.shape[1], codes.shape[2]
    line = np.empty(columns, magnitudes.dtype)
    for batch in range(start, stop):
        peaks, totals, energies = peak[batch], total[batch], energy[batch]
        for k in range(depth):
            source = codes[batch, k]
            for j in range(columns):
                line[j] = magnitudes[source[j]]
            for j in range(columns):
                magnitude = line[j]
                peaks[j] = max(peaks[j], magnitude)
                totals[j] += magnitude
                energies[j] += magnitude * magnitude
    return 0
