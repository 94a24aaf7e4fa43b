"""Exact products of bytes, four at a time, and of int16, two at a time (see `words.exact`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels.codegen import words
from ptqsim.kernels.codegen.geometry import COLUMNS, ROWS
from ptqsim.kernels.codegen.store import store
from ptqsim.kernels.matmul.tiles import expect, part, place, subtract_lines
from ptqsim.kernels.runtime.jit import inlined, jit
from ptqsim.kernels.runtime.team import shared


@jit
def exact_tiles(
    start: int, stop: int, team: int, quads: bool, which: Any, pairs: Any, terms: Any, strips: Any, panels: Any,
    correction: Any, lines: Any, drop: int, out: Any,
) -> bool:  # fmt: skip
    """The exact sums, less a correction per column and perhaps one per row; whether the reduction changed any.

    Words are `quads` of bytes, unsigned ones on the left, or else pairs of int16.

    The sum over the terms of ``(a[left] @ panels[right]) << shift`` is found by Horner's rule: `terms` [T, 3] holds
    left and right plane and how far the sum of the terms before it is shifted first. All is done mod 2**32, and
    `correction` [B, N] is subtracted, and `lines` [A, M] if it is not empty, so the caller has proven that either the
    result fits 32 bits, or that no more than 32 bits of it are asked for: the low 64 - `drop` bits of it are kept, sign
    included.
    """
    start = shared(start, stop, team)
    depth = strips.shape[3]
    registers = np.empty((ROWS, COLUMNS), np.int32)
    more = np.empty((0, 0), np.int32)
    changed = np.int64(0)
    blocks, panels_of_one = strips.shape[2], panels.shape[2]
    for index in range(start, stop):
        batch, panel, block = place(which[index], panels_of_one, blocks)
        left, right = pairs[batch, 0], pairs[batch, 1]
        height, width, at = part(batch, panel, block, out.shape)
        expect(which, index + 1, stop, blocks, panels_of_one, out)
        sum_terms(quads, terms, strips, panels, (left, right, block, panel, width), 0, depth, registers, more)
        if lines.shape[0]:
            subtract_lines(lines, left, block * ROWS, height, registers)
        changed |= store(
            registers, correction, right * correction.shape[1] + panel * COLUMNS, height, width, drop, out, at
        )
    return bool(changed != 0)


@inlined
def sum_terms(
    quads: bool, terms: Any, strips: Any, panels: Any, area: Any, start: int, stop: int, registers: Any, more: Any
) -> None:  # fmt: skip
    """The sum over the terms between the words `start` and `stop` of the depth, for a tile.

    `area` holds the left and the right matrix, the block of rows, the panel, and the columns in it.
    """
    left, right, block, panel, width = area
    for t in range(terms.shape[0]):
        x = ((terms[t, 0] * strips.shape[1] + left) * strips.shape[2] + block) * strips.shape[3]
        w = ((terms[t, 1] * panels.shape[1] + right) * panels.shape[2] + panel) * strips.shape[3]
        keep = -1 if t else 0
        if quads:
            words.exact(strips, x, start, stop, panels, w, width, terms[t, 2], keep, 0, 0, registers, more)
        else:
            words.exact_pairs(strips, x, start, stop, panels, w, width, terms[t, 2], keep, 0, 0, registers, more)
