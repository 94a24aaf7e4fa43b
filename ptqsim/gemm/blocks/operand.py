"""Operands of a product of blocks: their elements and scales, and what kernels need of them, made when asked for."""

from __future__ import annotations

import math
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ptqsim.formats.arrays.codes import look_up
from ptqsim.formats.arrays.immutable import reconstructed, sealed
from ptqsim.formats.blocks.array import BlockArray
from ptqsim.formats.blocks.block import E8M0_BIAS, Block, BlockScale
from ptqsim.formats.floats.named import E4M3
from ptqsim.gemm.operands.operand import PreparedOperand, layout_of
from ptqsim.gemm.operands.weak_identity import WeakIdentityDict

PLANE_BITS = 16
"""Bits of the lower plane of elements whose sums of products no float64 holds."""


class Scales(NamedTuple):
    """Values of the codes of a scale, times the step of the elements: factor * 2**exponent.

    The factor is an integer of up to 4 bits, and `most_factor` the largest.
    """

    factors: NDArray[np.int64]
    exponents: NDArray[np.int64]
    most_factor: int


@lru_cache(maxsize=64)
def scales_of(block_format: Block) -> Scales:
    """Factors and exponents of the codes of a format's scales."""
    step = math.frexp(block_format.element.step)[1] - 1
    codes = np.arange(256)
    if block_format.scale == BlockScale.E8M0:
        return Scales(np.ones(256, np.int64), codes - E8M0_BIAS + step, 1)
    aligned = E4M3.aligned_table()[:128]
    zeros = np.array([(int(value) & -int(value)).bit_length() - 1 if value else 0 for value in aligned])
    exponents = zeros + (math.frexp(E4M3.step)[1] - 1) + step
    factors = aligned >> zeros
    return Scales(factors, exponents, int(factors.max()))


class Span(NamedTuple):
    """Least and greatest exponent of the scales, without the least scale for blocks of zeros; 0 if there are none."""

    least: int
    greatest: int


class BlockOperand(PreparedOperand):
    """One operand of a product of blocks.

    Its codes are those of the elements, padding included, [n, M, K] or [n, K, N] with K a multiple of the block.

    Parameters
    ----------
    array : BlockArray
        The array, with blocks along the depth.
    is_left : bool
        True for the left operand.

    Attributes
    ----------
    format, depth : Block and int
        Its format, and the depth without padding.
    scales : uint8 array
        Codes of the scales, [n, M, block] if left, [n, block, N] if right.
    number_of_blocks : int
        Number of blocks along the depth.
    """

    def __init__(self, array: BlockArray, is_left: bool) -> None:
        self.format, self.depth = array.format, array.depth
        *outer, self.number_of_blocks, size = array.codes.shape
        lines = array.codes.reshape(*outer, self.number_of_blocks * size)
        super().__init__(lines if is_left else lines.swapaxes(-1, -2), array.format.element, is_left, None)
        scales = array.scales.reshape(len(self.codes), *array.scales.shape[-2:])
        self.scales = np.ascontiguousarray(scales if is_left else scales.swapaxes(-1, -2))
        self.of_codes = scales_of(self.format)

    @property
    def factors(self) -> NDArray[np.int64]:
        """Integer factors of the blocks, in the shape of the scales."""
        return self.make("factors", look_up, self.scales, self.of_codes.factors)

    @property
    def exponents(self) -> NDArray[np.int64]:
        """Exponents of the blocks, in the shape of the scales."""
        return self.make("exponents", look_up, self.scales, self.of_codes.exponents)

    def reals(self, dtype: Any, weight: int = 0) -> NDArray[Any]:
        """Factors times powers of two, in units of 2**weight: exact for those of `span` where that is in range."""

        def find() -> NDArray[Any]:
            with np.errstate(over="ignore", under="ignore"):
                table = np.ldexp(self.of_codes.factors.astype(np.float64), self.of_codes.exponents - weight)
                return look_up(self.scales, table.astype(dtype))

        return self.make(("reals", dtype, weight), find)

    @cached_property
    def span(self) -> Span:
        """Range of the exponents that count."""
        exponents = self.exponents
        if not self.scales.size:
            return Span(0, 0)
        # Blocks of zeros are given the least scale of all, whose factor may become 0 in a float without harm.
        if int(self.scales.min()) == 0:
            exponents = exponents[((self.scales != 0) | self._occupied()) & (self.factors != 0)]
            if not exponents.size:
                return Span(0, 0)
        return Span(int(exponents.min()), int(exponents.max()))

    def _occupied(self) -> NDArray[np.bool]:
        """True for blocks with an element that is not zero, in the shape of the scales."""
        found = self._by_block(self.table != 0).any(axis=-1 if self.is_left else -2)
        return np.asarray(found)

    def _by_block(self, table: NDArray[Any]) -> NDArray[Any]:
        """Values of elements, [n, M, block, size] or [n, block, size, N]."""
        values, size = look_up(self.codes, table), self.format.block
        count, first, last = self.codes.shape
        if self.is_left:
            return values.reshape(count, first, self.number_of_blocks, size)
        return values.reshape(count, self.number_of_blocks, size, last)

    @cached_property
    def norm(self) -> float:
        """The largest Euclidean norm of any row or column, in units of 2**span.greatest.

        Scales span less than 2**300, so no square leaves the range of float64 in these units.
        """
        if not self.codes.size:
            return 0.0
        squares = self._by_block(self.table.astype(np.float64) ** 2).sum(axis=-1 if self.is_left else -2)
        with np.errstate(over="ignore"):
            factors = np.ldexp(self.factors.astype(np.float64), self.exponents - self.span.greatest)
            squares = np.where(squares == 0, 0.0, squares * factors**2)
        return float(np.sqrt(squares.sum(axis=-1 if self.is_left else -2).max()))

    def planes(self, count: int) -> tuple[NDArray[np.int64], ...]:
        """The aligned value of every code as one table, or as two whose sum it is: the upper one in 2**PLANE_BITS."""
        if count == 1:
            return (self.table,)
        upper = self.table >> PLANE_BITS
        return upper, self.table - (upper << PLANE_BITS)

    def lane_planes(self, rows: int, count: int) -> NDArray[np.float64]:
        """Planes of a left operand in strips of matrices of `rows` rows, or of a right one in panels, in float64."""

        def find() -> NDArray[np.float64]:
            tables = [table.astype(np.float64) for table in self.planes(count)]
            return np.stack([self._strips(table, rows) if self.is_left else self._panels(table) for table in tables])

        return self.make(("planes", rows, count), find)


class _Kept(NamedTuple):
    """Kept state of an array: copies of what it consisted of, and its operands by side."""

    codes: NDArray[Any]
    scales: NDArray[Any]
    format: Block
    layout: tuple[Any, ...]
    operands: dict[bool, BlockOperand]


_known: WeakIdentityDict[BlockArray, _Kept] = WeakIdentityDict()


def operand(array: BlockArray, is_left: bool) -> BlockOperand:
    """The left or right operand that an array is, kept as long as the array lives and stays as it is."""
    kept = _known.get(array)
    if kept is None or not _is_same(kept, array):
        made = BlockArray(array.codes, array.scales, reconstructed(array.format), array.depth, array.axis)
        layout = _layout_of(array)
        kept = _Kept(sealed(made.codes), sealed(made.scales), made.format, layout, {})
        if kept.codes is array.codes and kept.scales is array.scales:
            _known[array] = kept
    found = kept.operands.get(is_left)
    if found is None:
        whole = BlockArray(kept.codes, kept.scales, kept.format, array.depth, array.axis)
        found = kept.operands[is_left] = BlockOperand(whole, is_left)
    return found


def _is_same(kept: _Kept, array: BlockArray) -> bool:
    return (
        kept.codes is array.codes
        and kept.scales is array.scales
        and kept.format == array.format
        and kept.layout == _layout_of(array)
    )


def _layout_of(array: BlockArray) -> tuple[Any, ...]:
    return *layout_of(array.codes), *layout_of(array.scales), array.depth, array.axis
