"""Operands as bytes: one plane per range of the format, in the layout of the instructions that multiply bytes."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ptqsim.gemm.operands import STRIPS, Kind, Operand, ranges_of
from ptqsim.kernels import _matrix_unit, _threads, align, machine
from ptqsim.kernels.interpreted import COLUMNS, ROWS

_WORD = 4


class Planes(NamedTuple):
    """The ranges of a format in bytes, a plane each: mantissas are `values - offset`, and count for 2**shift each.

    `values` [range, ...] are what the kernel takes, and `sums` [range, B, panel * COLUMNS] are those of a right
    operand's columns.
    """

    values: NDArray[np.uint8] | NDArray[np.int32]
    offsets: tuple[int, ...]
    shifts: tuple[int, ...]
    sums: NDArray[np.int32] | None


def left_planes(operand: Operand, rows: int) -> Planes | None:
    """The ranges of a left operand in unsigned bytes; None if a range does not fit.

    Of matrices of `rows` rows each. For the matrix unit they are bytes, row after row (`kernels.matrix`); else words of
    four bytes in strips, [A, block, K / 4, ROWS].
    """
    return operand.make(("bytes", rows, machine.MATRIX), lambda: _left(operand, rows))


def right_planes(operand: Operand) -> Planes | None:
    """The ranges of a right operand in signed bytes, in words of four bytes; None if a range does not fit.

    For the matrix unit they are in tiles (`kernels.matrix`); else in panels, [B, panel, K / 4, COLUMNS].
    """
    return operand.make(("bytes", machine.MATRIX), lambda: _right(operand))


def offset_sums(right: Operand, offsets: tuple[int, ...], shifts: tuple[int, ...]) -> NDArray[np.int32]:
    """What the offsets of a left operand's planes add to each column of the right one, [B, columns] mod 2**32."""

    def find() -> NDArray[np.int32]:
        planes = right_planes(right)
        assert planes is not None
        assert planes.sums is not None
        total = np.zeros(planes.sums.shape[1:], np.int64)
        for offset, left_shift in zip(offsets, shifts, strict=True):
            for sums, right_shift in zip(planes.sums, planes.shifts, strict=True):
                total += (offset * sums.astype(np.int64)) << (left_shift + right_shift)
        return total.astype(np.int32)  # keeps the low 32 bits

    return right.make(("offset_sums", offsets, shifts), find)


def _left(operand: Operand, rows: int) -> Planes | None:
    tables = _byte_tables(operand.kind, np.uint8, 128)
    if tables is None:
        return None
    codes, blocks = operand.blocks(rows)
    depth = _filled(codes.shape[2])
    values: NDArray[Any]
    kernel: Callable[..., int]
    if machine.MATRIX:
        # The last rows are read as a whole tile of them.
        values = np.empty((len(tables), len(codes), blocks * ROWS + _matrix_unit.LINES, depth), np.uint8)
        kernel, work, grain = align.byte_lines, math.prod(values.shape[1:3]), STRIPS * ROWS
    else:
        values = np.empty((len(tables), len(codes), blocks, depth // _WORD, ROWS, _WORD), np.uint8)
        kernel, work, grain = align.byte_strips, len(codes) * blocks, STRIPS
    for plane, each in zip(values, tables, strict=True):
        _threads.run(kernel, work, grain, codes, each.bytes, plane)
    return _planes(tables, values if machine.MATRIX else _in_words(values), None)


def _right(operand: Operand) -> Planes | None:
    tables = _byte_tables(operand.kind, np.int8, 0)
    if tables is None:
        return None
    count, depth, columns = operand.codes.shape
    words = _filled(depth) // _WORD
    panels = np.empty((len(tables), count, -(-columns // COLUMNS), words, COLUMNS, _WORD), np.int8)
    sums = np.empty((len(tables), count, panels.shape[2] * COLUMNS), np.int32)
    for plane, of_plane, each in zip(panels, sums, tables, strict=True):
        _threads.run(align.byte_panels, count * panels.shape[2], 1, operand.codes, each.bytes, plane, of_plane)
    values = _in_words(panels)
    if machine.MATRIX:
        lines = _matrix_unit.LINES
        tiles = values.reshape(*values.shape[:3], words // lines, lines, COLUMNS // lines, lines)
        values = np.ascontiguousarray(tiles.swapaxes(-3, -2))
    return _planes(tables, values, sums)


class _ByteTable(NamedTuple):
    """Mantissa plus offset of every code, in a byte, and the shift of its range."""

    bytes: NDArray[Any]
    offset: int
    shift: int


# A layer meets the same formats again and again.
@lru_cache(maxsize=256)
def _byte_tables(kind: Kind, dtype: Any, raised: int) -> tuple[_ByteTable, ...] | None:
    """A table per range, with `raised` added where mantissas are below those of `dtype`; None if one does not fit."""
    bounds, tables = np.iinfo(dtype), []
    for each in ranges_of(kind):
        low, high = int(each.mantissa.min()), int(each.mantissa.max())
        offset = raised if low < bounds.min else 0
        if low + offset < bounds.min or high + offset > bounds.max:
            return None
        tables.append(_ByteTable((each.mantissa + offset).astype(dtype), offset, each.shift))
    return tuple(tables)


def _planes(tables: tuple[_ByteTable, ...], values: NDArray[Any], sums: NDArray[np.int32] | None) -> Planes:
    return Planes(values, tuple(each.offset for each in tables), tuple(each.shift for each in tables), sums)


def _in_words(values: NDArray[Any]) -> NDArray[np.int32]:
    words: NDArray[np.int32] = values.view(np.int32)[..., 0]
    return words


def _filled(depth: int) -> int:
    """The depth, with as many zeros after it as an instruction needs."""
    step = _matrix_unit.DEPTH if machine.MATRIX else _WORD
    return -(-depth // step) * step
