"""Operands of a product: their codes, and what kernels need of them, made when it is first asked for.

Derived data live as long as the array that they are derived from, since the weights of a layer are multiplied by many
activations. Data derived from two operands are kept with the left one until it is multiplied by another (`matmul`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ptqsim.formats.array import QuantizedArray
from ptqsim.formats.arrays.codes import look_up
from ptqsim.formats.arrays.immutable import reconstructed, sealed
from ptqsim.formats.base import NumberFormat
from ptqsim.gemm.operands.kind import Kind, values_of, without_zero_point
from ptqsim.gemm.operands.weak_identity import WeakIdentityDict
from ptqsim.kernels.codegen.geometry import COLUMNS, ROWS
from ptqsim.kernels.codes import align
from ptqsim.kernels.runtime import threads as _threads

FLOAT32_EXACT = 1 << 24
"""Every integer up to this magnitude is a float32."""

FLOAT64_EXACT = 1 << 53
"""Every integer up to this magnitude is a float64."""

INT32_MAX = (1 << 31) - 1

INT64_MAX = (1 << 63) - 1

Made = TypeVar("Made")


class Norms(NamedTuple):
    """The largest, or the least, peak, total and energy of any row or column."""

    peak: float
    total: float
    energy: float


class LineNorms(NamedTuple):
    """Largest magnitude, sum of magnitudes and sum of squares of each row (left) or column (right).

    Float64 [n, lines]; `total` and `energy` are exact below 2**53 and slightly off above.
    """

    peak: NDArray[np.float64]
    total: NDArray[np.float64]
    energy: NDArray[np.float64]


class Keeper:
    """Derived objects, each made when first asked for and kept as long as its source."""

    def __init__(self) -> None:
        self._made: dict[Any, Any] = {}

    def make(self, key: Any, maker: Callable[..., Made], *arguments: Any) -> Made:
        """The derived object of that name, made once."""
        if key not in self._made:
            self._made[key] = maker(*arguments)
        made: Made = self._made[key]
        return made


class PreparedOperand(Keeper):
    """One operand of a product: all of it aligned, or the mantissas of one range only.

    Parameters
    ----------
    codes, number_format : ndarray and NumberFormat
        Codes [..., M, K] if left, [..., K, N] if right, and their format.
    is_left : bool
        True for the left operand.
    grid_range : int or None
        Number of the range, or None.

    Attributes
    ----------
    lead : tuple of int
        Leading dimensions of the array.
    kind : tuple of NumberFormat and int or None
        Format and range that decide the fields from `table` on.
    codes : ndarray
        [n, M, K] or [n, K, N], contiguous.
    table : ndarray
        The value of every code.
    ranges : tuple of GridRange
        The ranges that `table` is put together from.
    largest : int
        Largest magnitude in `table`: of any code, whether it occurs or not.
    """

    def __init__(self, codes: NDArray[Any], number_format: NumberFormat, is_left: bool, grid_range: int | None) -> None:
        super().__init__()
        *lead, rows, columns = codes.shape
        self.lead, self.is_left = tuple(lead), is_left
        self.kind: Kind = number_format, grid_range
        self.codes = np.ascontiguousarray(codes).reshape(math.prod(lead), rows, columns)
        self.ranges, self.table, self.largest = values_of(self.kind)

    def uncorrected(self) -> PreparedOperand:
        """The operand as it is before its zero point is subtracted: this one, if it has none."""
        number_format, grid_range = self.kind
        if not number_format.zero_point:
            return self
        codes, without = self.codes.reshape(*self.lead, *self.codes.shape[1:]), without_zero_point(number_format)
        return self.make("uncorrected", PreparedOperand, codes, without, self.is_left, grid_range)

    @cached_property
    def float_type(self) -> type[np.float32] | type[np.float64]:
        """float32 if it holds every value of the table exactly, else float64: 16-bit codes at most take 48 bits."""
        return np.float32 if self.largest <= FLOAT32_EXACT else np.float64

    def values(self, dtype: Any) -> NDArray[Any]:
        """The values in `dtype`, in the shape of the codes."""
        return self.make(("values", dtype), lambda: look_up(self.codes, self.table.astype(dtype)))

    def strips(self, dtype: Any, rows: int) -> NDArray[Any]:
        """The values of a left operand in `dtype`, in strips [A, block, K, ROWS] of matrices of `rows` rows each."""
        return self.make(("strips", dtype, rows), lambda: self._strips(self.table.astype(dtype), rows))

    def panels(self, dtype: Any) -> NDArray[Any]:
        """The values of a right operand in `dtype`, in panels [B, panel, K, COLUMNS]."""
        return self.make(("panels", dtype), lambda: self._panels(self.table.astype(dtype)))

    def word_strips(self, table: NDArray[np.int32], rows: int) -> NDArray[np.int32]:
        """The words of a left operand in strips; of all tables only the latest are kept, as every width has its own."""
        return self._make_words(table, rows, lambda: self._strips(table, rows))

    def word_panels(self, table: NDArray[Any]) -> NDArray[Any]:
        """The words of a right operand, or its halves of words, in panels; likewise."""
        return self._make_words(table, 0, lambda: self._panels(table))

    def _make_words(self, table: NDArray[Any], rows: int, maker: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        known: tuple[NDArray[Any], int, NDArray[Any]] | None = self._made.get("words")
        if known is not None and known[0] is table and known[1] == rows:  # tables are kept, by `words.scaled`
            return known[2]
        words = maker()
        self._made["words"] = table, rows, words
        return words

    @cached_property
    def norms(self) -> LineNorms:
        """Norms of each row or column."""
        count, first, last = self.codes.shape
        largest = max(first, last) * self.largest**2
        dtype = np.int32 if largest <= INT32_MAX else np.int64 if largest <= INT64_MAX else np.float64
        magnitudes = np.abs(self.table).astype(dtype)
        lines = (count, first if self.is_left else last)
        peak, total, energy = np.zeros((3, *lines), magnitudes.dtype)
        if self.codes.size:
            flat = self.codes.reshape(-1, last) if self.is_left else self.codes
            norms = [norm.reshape(-1) if self.is_left else norm for norm in (peak, total, energy)]
            kernel = align.row_norms if self.is_left else align.column_norms
            grain = max(1, _threads.GRAIN // (last if self.is_left else first * last))
            _threads.run(kernel, len(flat), grain, flat, magnitudes, *norms)
        return LineNorms(*(norm.astype(np.float64) for norm in (peak, total, energy)))

    @cached_property
    def largest_norms(self) -> Norms:
        """The largest of each norm."""
        return Norms(*(float(norm.max(initial=0.0)) for norm in self.norms))

    @cached_property
    def least_norms(self) -> Norms:
        """The least of each norm, of any row or column."""
        return Norms(*(float(norm.min()) if norm.size else 0.0 for norm in self.norms))

    def block_norms(self, lines: int, size: int) -> LineNorms:
        """The largest of each norm in blocks of `size` rows or columns, of matrices of `lines` of them, [n, block]."""

        def find() -> LineNorms:
            starts = np.arange(0, lines, size)
            return LineNorms(*(np.maximum.reduceat(norm.reshape(-1, lines), starts, axis=1) for norm in self.norms))

        return self.make(("block_norms", lines, size), find)

    @property
    def thread_strips(self) -> int:
        """Strips below which another thread costs more than it brings."""
        return max(1, _threads.GRAIN // (ROWS * max(self.codes.shape[2], 1)))

    def blocks(self, rows: int) -> tuple[NDArray[Any], int]:
        """The codes as matrices of `rows` rows, and in how many strips each is cut."""
        codes = self.codes.reshape(-1 if self.codes.size else 0, rows, self.codes.shape[2])
        return codes, -(-rows // ROWS)

    def _strips(self, table: NDArray[Any], rows: int) -> NDArray[Any]:
        codes, blocks = self.blocks(rows)
        strips = np.empty((len(codes), blocks, codes.shape[2], ROWS), table.dtype)
        _threads.run(align.strip_values, len(codes) * blocks, self.thread_strips, codes, _bits(table), _bits(strips))
        return strips

    def _panels(self, table: NDArray[Any]) -> NDArray[Any]:
        count, depth, columns = self.codes.shape
        panels = np.empty((count, -(-columns // COLUMNS), depth, COLUMNS), table.dtype)
        _threads.run(align.panel_values, count * panels.shape[1], 1, self.codes, _bits(table), _bits(panels))
        return panels


def _bits(array: NDArray[Any]) -> NDArray[Any]:
    """The same memory as unsigned integers: what only moves values is compiled once for all types of one size."""
    return array.view(f"u{array.itemsize}")


class _Kept(NamedTuple):
    """Kept state of an array. Codes and format are copies that nobody else can change."""

    codes: NDArray[Any]
    format: NumberFormat
    layout: tuple[Any, ...]
    operands: dict[tuple[bool, int | None], PreparedOperand]


settable = attrgetter("shape", "strides", "dtype")
"""Attributes of an array that can be set although its memory is read-only."""


def layout_of(codes: NDArray[Any]) -> tuple[Any, ...]:
    """The settable attributes of an array, and the owner of its memory."""
    return *settable(codes), id(codes.base)


_known: WeakIdentityDict[QuantizedArray, _Kept] = WeakIdentityDict()


def left(array: QuantizedArray, grid_range: int | None = None) -> PreparedOperand:
    """The left operand: all of it aligned, or the mantissas of one range only."""
    return _operand(array, True, grid_range)


def right(array: QuantizedArray, grid_range: int | None = None) -> PreparedOperand:
    """The right operand: all of it aligned, or the mantissas of one range only."""
    return _operand(array, False, grid_range)


def _operand(array: QuantizedArray, is_left: bool, grid_range: int | None) -> PreparedOperand:
    kept, key = _known.get(array), (is_left, grid_range)
    if kept is None or kept.codes is not array.codes or kept.format != array.format:
        kept = _kept(array, is_new=kept is None)
    elif kept.layout != layout_of(kept.codes):
        raise ValueError(
            "the codes of an array were given another shape, type or memory in place; legal is to leave them as they "
            "are: make a new QuantizedArray"
        )
    operand = kept.operands.get(key)
    if operand is None:
        operand = kept.operands[key] = PreparedOperand(kept.codes, kept.format, is_left, grid_range)
    return operand


def _kept(array: QuantizedArray, is_new: bool) -> _Kept:
    """Kept state of an array, which is remembered unless somebody could write to its codes.

    Writable codes get into an array by `object.__setattr__` only. So does another format, which the codes must fit.
    """
    codes = sealed(array.codes)
    if not is_new or codes is not array.codes:
        codes = QuantizedArray(codes, array.format).codes
    kept = _Kept(codes, reconstructed(array.format), layout_of(codes), {})
    if codes is array.codes:
        _known[array] = kept
    return kept
