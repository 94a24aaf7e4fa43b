"""Operands in words, in memory that stays: a call puts the codes of the moment into it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ptqsim.formats.array import QuantizedArray
from ptqsim.formats.base import NumberFormat
from ptqsim.gemm.operands import operand as operands
from ptqsim.gemm.operands.planes import (
    Parts,
    Tables,
    filled,
    fitting,
    low_word,
    offset_sums,
    right_planes,
    tables_of,
)
from ptqsim.kernels.codegen.geometry import COLUMNS, ROWS
from ptqsim.kernels.codes import align
from ptqsim.kernels.runtime import threads as _threads

Call = Callable[[], object]


class FixedLeft(NamedTuple):
    """A left operand: its words, the calls that fill them, offsets of its planes, and shifts for every matrix."""

    values: NDArray[Any]
    calls: list[Call]
    offsets: tuple[int, ...]
    shifts: list[tuple[int, ...]]


class FixedRight(NamedTuple):
    """A right operand: its words, the calls that fill them, their number, the depth, and shifts of its planes.

    `correction` gives, for offsets of the planes of a left operand and their shifts, what these add to each column, in
    memory that stays, and the calls that fill it.
    """

    values: NDArray[Any]
    calls: list[Call]
    matrices: int
    depth: int
    shifts: tuple[int, ...]
    correction: Callable[[tuple[int, ...], tuple[int, ...]], tuple[NDArray[np.int32], list[Call]]]


@lru_cache(maxsize=256)
def meaning_of(number_format: NumberFormat) -> tuple[Any, ...]:
    """A key that formats have in common whose codes stand for the same integers."""
    ranges = tuple((one.shift, one.mantissa.tobytes()) for one in number_format.ranges())
    return *ranges, number_format.zero_point, number_format.bits


def fixed_left(codes: NDArray[Any], formats: Sequence[NumberFormat], parts: Parts) -> FixedLeft | None:
    """A left operand of codes [A, M, K]; None if a range does not fit, or tables differ in more than their shifts."""
    first = _tables(tuple({meaning_of(one): one for one in formats}.values()), parts)
    if first is None:
        return None
    tables, shifts = first
    matrices, rows, k = codes.shape
    blocks = -(-rows // ROWS)
    values = np.empty((len(tables.each), matrices, blocks, filled(k, parts) // parts.count, ROWS), np.int32)
    least = max(1, _threads.GRAIN // (ROWS * max(k, 1)))
    calls = [
        _call(align.word_strips, matrices * blocks, least, parts, codes, table.values, table.rule, plane)
        for plane, table in zip(values, tables.each, strict=True)
    ]
    return FixedLeft(values, calls, tables.offsets, [shifts[meaning_of(one)] for one in formats])


def fixed_right(right: Any, formats: Sequence[NumberFormat], transposed: bool, parts: Parts) -> FixedRight | None:
    """A right operand: weights [K, N], or codes [A, K, N], or [A, N, K] if `transposed`; None if it does not fit."""
    if isinstance(right, QuantizedArray):
        return _of_weights(right, parts)
    tables = tables_of((formats[0], None), parts.right, 0)
    if tables is None or any(tables.offsets) or len({meaning_of(one) for one in formats}) > 1:
        return None
    count, (columns, depth) = len(right), right.shape[1:] if transposed else right.shape[:0:-1]
    panels = -(-columns // COLUMNS)
    values = np.empty((len(tables.each), count, panels, filled(depth, parts) // parts.count, COLUMNS), np.int32)
    sums = np.empty((len(tables.each), count, panels * COLUMNS), np.int32)
    calls = []
    for plane, of_plane, table in zip(values, sums, tables.each, strict=True):
        if transposed:
            arguments: tuple[Any, ...] = (table.values, table.rule, plane, of_plane)
            calls.append(_call(align.word_panels_of_rows, count * panels, 1, parts, right, *arguments))
        else:
            arguments = (table.words, table.rule, plane, of_plane)
            calls.append(_panels(count * panels, parts, right, arguments))

    def correction(offsets: tuple[int, ...], shifts: tuple[int, ...]) -> tuple[NDArray[np.int32], list[Call]]:
        offset = sum(one << shift for one, shift in zip(offsets, shifts, strict=True))
        total = np.zeros(sums.shape[1:], np.int32)
        if not offset:
            return total, []
        factors = np.array([low_word(offset << shift) for shift in tables.shifts], np.int32).reshape(-1, 1, 1)

        def fill() -> None:
            np.multiply(sums[0], factors[0], out=total)
            for more, factor in zip(sums[1:], factors[1:], strict=True):
                total.__iadd__(more * factor)

        return total, [fill]

    return FixedRight(values, calls, count, depth, tables.shifts, correction)


def _of_weights(weights: QuantizedArray, parts: Parts) -> FixedRight | None:
    right = operands.right(weights)
    planes = right_planes(right, parts)
    if planes is None or any(planes.offsets):
        return None

    def correction(offsets: tuple[int, ...], shifts: tuple[int, ...]) -> tuple[NDArray[np.int32], list[Call]]:
        return offset_sums(right, parts, offsets, shifts), []

    return FixedRight(planes.values, [], 1, weights.shape[0], planes.shifts, correction)


def _panels(size: int, parts: Parts, codes: NDArray[Any], arguments: tuple[Any, ...]) -> Call:
    return lambda: _threads.run(align.word_panels, size, 1, parts.count, parts.taken(codes), *arguments)


def _call(
    kernel: Callable[..., int], size: int, least: int, parts: Parts, codes: NDArray[Any], *arguments: Any
) -> Call:
    """A call of a kernel that puts codes into words."""
    return lambda: _threads.run(kernel, size, least, parts.taken(codes), *arguments)


def _tables(
    formats: tuple[NumberFormat, ...], parts: Parts
) -> tuple[Tables, dict[tuple[Any, ...], tuple[int, ...]]] | None:
    """The tables that all of the formats have, and the shifts of the planes of each; None if they have not the same."""
    found = [tables_of((one, None), parts.left, parts.raised) for one in formats]
    if len(formats) > 1:  # whatever one of them fits in, ranges are what they may have in common
        found = [fitting(one.ranges(), parts.left, parts.raised) for one in formats]
    first = found[0]
    shifts = {}
    for one, tables in zip(formats, found, strict=True):
        if first is None or tables is None or tables.offsets != first.offsets or len(tables.each) != len(first.each):
            return None
        if any(not np.array_equal(x.values, y.values) for x, y in zip(tables.each, first.each, strict=True)):
            return None
        shifts[meaning_of(one)] = tables.shifts
    return None if first is None else (first, shifts)
