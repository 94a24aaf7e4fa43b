"""Operands as words of bytes or of int16: planes, in the layout of the instructions that multiply them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ptqsim.formats.arrays.codes import look_up
from ptqsim.formats.base import GridRange
from ptqsim.gemm.operands.kind import Kind, ranges_of, table_of
from ptqsim.gemm.operands.operand import PreparedOperand
from ptqsim.kernels.codegen import matrix_unit as _matrix_unit
from ptqsim.kernels.codegen.geometry import COLUMNS, ROWS
from ptqsim.kernels.codes import align
from ptqsim.kernels.runtime import machine
from ptqsim.kernels.runtime import threads as _threads


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Layout of words of 32 bits; equal only to itself.

    Parameters
    ----------
    count : int
        How many parts a word has.
    codes : object
        Type of codes that kernels are compiled for, or None for the type that they have.
    left, right : object
        Types of the parts of a left and of a right operand.
    raised : int
        What is added to the parts of a left operand if its type has no negative numbers and they can be negative. Where
        that does not fit the type, or on the right, as much is added as makes the least value the least of the type.
    """

    count: int
    codes: Any
    left: Any
    right: Any
    raised: int

    def taken(self, codes: NDArray[Any]) -> NDArray[Any]:
        """Codes as the kernels take them."""
        if self.codes is None or codes.dtype == self.codes:
            return codes
        converted = codes.astype(self.codes)
        converted.flags.writeable = False  # as codes are: for other arrays all would be compiled again
        return converted

    @property
    def in_matrix(self) -> bool:
        """True if they are laid out for the matrix unit."""
        return machine.MATRIX and self is BYTES


BYTES: Final = Parts(4, None, np.uint8, np.int8, 128)
UNSIGNED_BYTES: Final = Parts(4, None, np.uint8, np.int8, 0)
PAIRS: Final = Parts(2, np.uint16, np.int16, np.int16, 0)


class Planes(NamedTuple):
    """An operand as a sum of planes: their mantissas are `values - offset`, and count for 2**shift each.

    One plane if the parts of a word hold all aligned values, else one per range of the format. `values` [plane, ...]
    are what the kernel takes, and `sums` [plane, B, panel * COLUMNS] are those of a right operand's columns. Of a right
    operand at most one plane has an offset, and then it is the only one.
    """

    values: NDArray[np.uint8] | NDArray[np.int32]
    offsets: tuple[int, ...]
    shifts: tuple[int, ...]
    sums: NDArray[np.int32] | None


def left_planes(operand: PreparedOperand, rows: int, parts: Parts) -> Planes | None:
    """The planes of a left operand; None if a range does not fit.

    Of matrices of `rows` rows each. For the matrix unit they are bytes, row after row (`kernels.matrix`); else words in
    strips, [A, block, K / parts, ROWS].
    """
    return operand.make(("planes", parts, rows, parts.in_matrix), lambda: _left(operand, rows, parts))


def right_planes(operand: PreparedOperand, parts: Parts) -> Planes | None:
    """The planes of a right operand, in words; None if a range does not fit.

    For the matrix unit they are in tiles (`kernels.matrix`); else in panels, [B, panel, K / parts, COLUMNS].
    """
    return operand.make(("planes", parts, parts.in_matrix), lambda: _right(operand, parts))


def number_of_planes(operand: PreparedOperand, parts: Parts) -> int:
    """Number of planes of an operand, 0 if a range does not fit; none is made."""
    tables = _tables_of(operand, parts)
    return 0 if tables is None else len(tables.each)


def offset_sums(
    right: PreparedOperand, parts: Parts, offsets: tuple[int, ...], shifts: tuple[int, ...]
) -> NDArray[np.int32]:
    """Contribution of a left operand's plane offsets to each column of the right one, [B, columns] mod 2**32."""

    def find() -> NDArray[np.int32]:
        planes = right_planes(right, parts)
        assert planes is not None
        assert planes.sums is not None
        offset = sum(offset << shift for offset, shift in zip(offsets, shifts, strict=True))
        of_planes = zip(planes.sums, planes.shifts, strict=True)
        first, *others = (sums * low_word(offset << shift) for sums, shift in of_planes)
        total: NDArray[np.int32] = sum(others, start=first)
        return total

    return right.make(("offset_sums", parts, offsets, shifts), find)


def row_sums(left: PreparedOperand, rows: int, offset: int) -> NDArray[np.int32]:
    """The share of a right operand's offset in each row of matrices of `rows` rows each, [A, rows] mod 2**32.

    Offsets of the left operand are not in it: those are in `offset_sums`.
    """

    def find() -> NDArray[np.int32]:
        values = look_up(left.blocks(rows)[0], left.table.astype(np.int32))
        return np.asarray(values.sum(axis=2, dtype=np.int32) * np.int32(offset))

    return left.make(("row_sums", rows, offset), find)


def low_word(value: int) -> np.int32:
    """The low 32 bits; products and sums of int32 keep these too."""
    return np.int32((value + (1 << 31)) % (1 << 32) - (1 << 31))


def _left(operand: PreparedOperand, rows: int, parts: Parts) -> Planes | None:
    tables = _tables_of(operand, parts)
    if tables is None:
        return None
    codes, blocks = operand.blocks(rows)
    depth = filled(codes.shape[2], parts)
    values: NDArray[Any]
    if parts.in_matrix:
        # The last rows are read as a whole tile of them.
        values = np.empty((len(tables.each), len(codes), blocks * ROWS + _matrix_unit.LINES, depth), parts.left)
        grain = operand.thread_strips * ROWS
        for plane, each in zip(values, tables.each, strict=True):
            _threads.run(align.byte_lines, math.prod(plane.shape[:2]), grain, codes, each.values, plane)
    else:
        values = np.empty((len(tables.each), len(codes), blocks, depth // parts.count, ROWS), np.int32)
        for plane, each in zip(values, tables.each, strict=True):
            arguments = (parts.taken(codes), each.values, each.rule, plane)
            _threads.run(align.word_strips, len(codes) * blocks, operand.thread_strips, *arguments)
    return Planes(values, tables.offsets, tables.shifts, None)


def _right(operand: PreparedOperand, parts: Parts) -> Planes | None:
    tables = _tables_of(operand, parts)
    if tables is None:
        return None
    count, depth, columns = operand.codes.shape
    words = filled(depth, parts) // parts.count
    values = np.empty((len(tables.each), count, -(-columns // COLUMNS), words, COLUMNS), np.int32)
    sums = np.empty((len(tables.each), count, values.shape[2] * COLUMNS), np.int32)
    for plane, of_plane, each in zip(values, sums, tables.each, strict=True):
        codes = parts.taken(operand.codes)
        arguments = (parts.count, codes, each.words, each.rule, plane, of_plane)
        _threads.run(align.word_panels, count * values.shape[2], 1, *arguments)
    if parts.in_matrix:
        lines = _matrix_unit.LINES
        tiles = values.reshape(*values.shape[:3], words // lines, lines, COLUMNS // lines, lines)
        values = np.ascontiguousarray(tiles.swapaxes(-3, -2))
    return Planes(values, tables.offsets, tables.shifts, sums)


class Table(NamedTuple):
    """Mantissa plus offset of every code, as parts and as words, and what they follow from (`align.word_strips`)."""

    values: NDArray[Any]
    words: NDArray[np.int32]
    rule: NDArray[np.int32]


class Tables(NamedTuple):
    """One table per plane, with their offsets and the shifts of their ranges."""

    each: tuple[Table, ...]
    offsets: tuple[int, ...]
    shifts: tuple[int, ...]


def _tables_of(operand: PreparedOperand, parts: Parts) -> Tables | None:
    kind = operand.kind
    return tables_of(kind, parts.left, parts.raised) if operand.is_left else tables_of(kind, parts.right, 0)


# A layer uses the same formats in every call.
@lru_cache(maxsize=256)
def tables_of(kind: Kind, dtype: Any, raised: int) -> Tables | None:
    """A table of all aligned values, or else one per range, in `dtype`; None if neither fits.

    `raised` is added where there are values below those of `dtype`; if no table fits then, whatever makes one of all
    values fit.
    """
    whole = (GridRange(0, table_of(kind)),)
    return (
        fitting(whole, dtype, raised)
        or fitting(ranges_of(kind), dtype, raised)
        or fitting(whole, dtype, int(np.iinfo(dtype).min) - int(whole[0].mantissa.min()), always=True)
    )


def fitting(ranges: tuple[GridRange, ...], dtype: Any, raised: int, always: bool = False) -> Tables | None:
    """A table of every range in `dtype`, raised where values are below it, or `always`; None where one does not fit."""
    bounds, tables, offsets = np.iinfo(dtype), [], []
    for each in ranges:
        low, high = int(each.mantissa.min()), int(each.mantissa.max())
        offset = raised if always or low < bounds.min else 0
        if low + offset < bounds.min or high + offset > bounds.max:
            return None
        values = each.mantissa + offset
        tables.append(Table(values.astype(dtype), values.astype(np.int32), _rule(each.mantissa, offset)))
        offsets.append(offset)
    return Tables(tuple(tables), tuple(offsets), tuple(each.shift for each in ranges))


def _rule(mantissa: NDArray[np.int64], offset: int) -> NDArray[np.int32]:
    """Mantissas of uniform and twin codes are sums and differences of their bits; zeros for other tables."""
    count = len(mantissa)
    half, codes = count // 2, np.arange(count)
    for (low, high), flip, sign in product(((0, count), (0, half), (half, count)), (0, half), (0, -1)):
        added = ((int(mantissa[low]) ^ sign) - sign) - (low ^ flip)
        values = (((codes ^ flip) + added) ^ sign) - sign
        if np.array_equal(mantissa, np.where((codes >= low) & (codes < high), values, 0)):
            return np.array([low, high, flip, added, sign, offset], np.int32)
    return np.zeros(6, np.int32)


def filled(depth: int, parts: Parts) -> int:
    """The depth, with as many zeros after it as an instruction needs."""
    step = _matrix_unit.DEPTH if parts.in_matrix else parts.count
    return -(-depth // step) * step
