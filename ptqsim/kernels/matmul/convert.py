"""Integers that a product left in a float type into int64, and accumulators into floats."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ptqsim.kernels.runtime.jit import jit
from ptqsim.kernels.runtime.team import shared

BLOCK: Final = 1024
"""Columns whose scales take a quarter of a first cache of 32 KiB."""


@jit
def to_int64(start: int, stop: int, team: int, floats: Any, small: bool, drop: int, out: Any) -> bool:
    """Convert [start, stop) and keep the low 64 - `drop` bits, sign included; whether that changed any.

    `small` says that all values are int32. Few processors have vector instructions for shifts of 64 bits, or for floats
    to 64 bits; for 32 all have.
    """
    start = shared(start, stop, team)
    # From zero on: with an index that could be negative no vector code is made.
    source, target = floats[start:stop], out[start:stop]
    return _through_int32(source, max(drop - 32, 0), target) if small else _through_int64(source, drop, target)


@jit
def _through_int32(floats: Any, drop: int, out: Any) -> bool:
    shift, changed = np.int32(drop), np.int32(0)
    for i in range(len(floats)):
        value = np.int32(floats[i])
        kept = np.int32(np.int32(value << shift) >> shift)
        changed |= kept ^ value
        out[i] = kept
    return bool(changed != 0)


@jit
def _through_int64(floats: Any, drop: int, out: Any) -> bool:
    changed = np.int64(0)
    for i in range(len(floats)):
        value = np.int64(floats[i])
        kept = (value << drop) >> drop
        changed |= kept ^ value
        out[i] = kept
    return bool(changed != 0)


@jit
def to_reals(start: int, stop: int, team: int, acc: Any, scales: Any, length: int, out: Any) -> int:
    """acc * scale for [start, stop), the product taken in float64 and rounded to the type of `out`.

    Every `length` elements have a scale of their own.
    """
    start = shared(start, stop, team)
    while start < stop:
        index = start // length
        end = min(stop, (index + 1) * length)
        source, target, scale = acc[start:end], out[start:end], scales[index]
        for i in range(len(source)):
            target[i] = target.dtype.type(np.float64(source[i]) * scale)
        start = end
    return 0


@jit
def to_reals_by_column(start: int, stop: int, team: int, acc: Any, scales: Any, rows: int, out: Any) -> int:
    """The same for the rows [start, stop), every column having a scale of its own, and every `rows` rows others.

    Scales of a wide row do not stay in the first cache beside what streams through it, so it is taken in blocks.
    """
    start = shared(start, stop, team)
    columns = acc.shape[1]
    blocks = 1 if columns < 2 * BLOCK else -(-columns // BLOCK)
    for b in range(blocks):
        left, right = b * columns // blocks, (b + 1) * columns // blocks
        first = start
        while first < stop:
            table = first // rows
            end = min(stop, (table + 1) * rows)
            each = scales[table, left:right]
            for r in range(first, end):
                source, target = acc[r, left:right], out[r, left:right]
                for j in range(len(source)):
                    target[j] = target.dtype.type(np.float64(source[j]) * each[j])
            first = end
    return 0
