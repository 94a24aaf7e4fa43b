"""The range of the exact prefix sums of a product: which width would have been exact for these operands."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptqsim.datapath.order import Split
from ptqsim.datapath.spec import Accumulator
from ptqsim.datapath.statistics import PrefixRange
from ptqsim.formats.arrays.codes import look_up
from ptqsim.gemm.exact import all_tiles, as_bytes, grain
from ptqsim.gemm.operands import words
from ptqsim.gemm.operands.operand import INT32_MAX, PreparedOperand
from ptqsim.gemm.product import Product
from ptqsim.kernels.matmul import accumulate, prefix
from ptqsim.kernels.runtime import machine
from ptqsim.kernels.runtime import threads as _threads

# With fewer segments the bounds are too loose: too many outputs would have to be added up product by product.
_SEGMENTS = 4

# Norms are rounded to float32 once, and their product once.
_MARGIN = 1.0 + 2.0**-20


def prefixes(product: Product, accumulator: Accumulator) -> PrefixRange:
    """Range of the exact prefix sums of all outputs, in the accumulator's order of addition."""
    order = accumulator.order
    # A sequential prefix sum is that of a tile register whose tile is as deep as the product.
    if order.group == 1 and not isinstance(order, Split):
        return PrefixRange(*_sequential(product))
    extremes = _by_steps(product, order.group, all_tiles(product.tiles))
    inner, outer = (int(v) for v in extremes[:2]), (int(v) for v in extremes[2:])
    return PrefixRange(*outer, *inner) if isinstance(order, Split) else PrefixRange(*outer)


def _sequential(product: Product) -> tuple[int, int]:
    """Least and greatest sum of the first products of any output."""
    tiles, group = all_tiles(product.tiles), max(product.depth, 1)
    segments = _by_segments(product)
    if segments is None:
        least, greatest, *_ = _by_steps(product, group, tiles)
        return int(least), int(greatest)
    kernel, arguments = segments
    seen = np.zeros(2, np.int64)
    # Early tiles were pruned against a loose bound, and many of them were left over: try these again with the final
    # one.
    for _ in range(2):
        left_over = np.zeros(len(tiles), np.bool_)
        found, unit = _places(product, len(tiles), 2)
        _threads.run(kernel, len(tiles), grain(product), tiles, *arguments, seen.copy(), unit, found, left_over)
        seen, tiles = _joined(seen, found), tiles[left_over]
    if len(tiles):
        seen = _joined(seen, _by_steps(product, group, tiles)[None, :2])
    return int(seen[0]), int(seen[1])


def _places(product: Product, tiles: int, values: int) -> tuple[NDArray[np.int64], int]:
    """Zeros for the results of all parts of the work, and the chunk size; parts start at its multiples."""
    unit = _threads.unit(grain(product))
    return np.zeros((-(-tiles // unit), values), np.int64), unit


def _joined(seen: NDArray[np.int64], found: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.array([min(seen[0], found[:, 0].min(initial=0)), max(seen[1], found[:, 1].max(initial=0))])


def _by_segments(product: Product) -> tuple[Any, tuple[Any, ...]] | None:
    """A kernel of `kernels.prefix`, and what it takes besides tiles; None if segments are few, or sums too large."""
    if product.depth < _SEGMENTS * prefix.SEGMENT or not product.is_below(prefix.LIMIT):
        return None
    operands = as_bytes(product)
    if operands is None or any(operands.right.offsets):
        return None
    left, right = product.left, product.right
    offset = sum(offset << shift for offset, shift in zip(operands.left.offsets, operands.left.shifts, strict=True))
    correction = (offset * _sums(right)).astype(np.int32)  # keeps the low 32 bits
    rows = product.shape[1]
    norms = _norms(left, left.blocks(rows)[0], 2), _norms(right, right.codes, 1)
    if float(norms[0].max()) * float(norms[1].max()) > prefix.NORM_LIMIT:
        return None
    codes = left.blocks(rows)[0], left.table, right.codes, right.table
    values = operands.left.values, operands.right.values
    arguments = product.pairs, operands.terms, *values, correction, norms, codes, product.shape
    return operands.kernel.prefixes, arguments


def _norms(operand: PreparedOperand, codes: NDArray[Any], axis: int) -> NDArray[np.float32]:
    """Euclidean norms of the segments of every row or column, rounded up."""

    def find() -> NDArray[np.float32]:
        squares = _by_segment(look_up(codes, operand.table.astype(np.float64) ** 2), axis)
        norms: NDArray[np.float32] = (np.sqrt(squares) * _MARGIN).astype(np.float32)
        return norms

    return operand.make(("segment_norms", codes.shape), find)


def _sums(right: PreparedOperand) -> NDArray[np.int64]:
    """Sums of the segments of every column, [B, segment, N]."""
    return right.make("segment_sums", lambda: _by_segment(look_up(right.codes, right.table), 1))


def _by_segment(values: NDArray[Any], axis: int) -> NDArray[Any]:
    return np.add.reduceat(values, np.arange(0, values.shape[axis], prefix.SEGMENT), axis=axis)


def _by_steps(product: Product, group: int, tiles: NDArray[np.int64]) -> NDArray[np.int64]:
    """Least and greatest sum within groups, and least and greatest after them, each with zero; step by step."""
    dtype = product.exact_type() or np.int64
    # Least and greatest are found faster among floats.
    in_words = machine.DOT and dtype is not np.float32 and product.is_below(INT32_MAX)
    pair = words.scaled(product.left, product.right, 32) if in_words else None
    rows = product.shape[1]
    kernel: Any
    if pair is not None:
        kernel = accumulate.prefix_range_of_words
        strips, panels = product.left.word_strips(pair.left, rows), product.right.word_panels(pair.right)
    else:
        kernel = accumulate.prefix_range
        strips, panels = product.left.strips(dtype, rows), product.right.panels(dtype)
    found, unit = _places(product, len(tiles), 4)
    arguments = (tiles, product.pairs, strips, panels, product.shape[2], group, unit, found)
    _threads.run(kernel, len(tiles), grain(product), *arguments)
    least, greatest = found.min(axis=0, initial=0), found.max(axis=0, initial=0)
    return np.array([least[0], greatest[1], least[2], greatest[3]])
