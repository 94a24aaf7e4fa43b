"""One batch of products of blocks: what bounds its sums, and the types in which it is exact."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ptqsim.gemm.blocks.operand import PLANE_BITS, BlockOperand
from ptqsim.gemm.operands.operand import Keeper
from ptqsim.gemm.operands.planes import PAIRS, left_planes, right_planes
from ptqsim.gemm.product import Product
from ptqsim.kernels.runtime import machine

# Covers the rounding of norms in float64: each of K < 2**31 additions is off by at most 2**-53, relatively.
_SLACK = Fraction(1) + Fraction(1, 1 << 20)

MAX_SUM_BITS = 80
"""Widest sum of a block's products, in bits without the sign, that the kernels take."""


class Float(NamedTuple):
    """A float type: bits of its significand, exponent of its least bit of all, and exponent that it stays below."""

    dtype: Any
    bits: int
    least: int
    beyond: int


FLOAT32 = Float(np.float32, 24, -149, 128)
FLOAT64 = Float(np.float64, 53, -1074, 1024)


class Lanes(NamedTuple):
    """Operands as strips and panels, and how many of their lines are a block."""

    strips: NDArray[Any]
    panels: NDArray[Any]
    size: int


class BlockProduct(Keeper):
    """Two operands whose shapes fit each other.

    Attributes
    ----------
    left, right : BlockOperand
        The operands.
    product : Product
        That of the elements: shapes and tiles.
    blocks : int
        Number of blocks along the depth.
    most : int
        No sum over any subset of a block's products is larger in magnitude, whatever the codes are.
    """

    def __init__(self, left: BlockOperand, right: BlockOperand) -> None:
        super().__init__()
        self.left, self.right, self.product = left, right, Product(left, right)
        self.blocks: int = left.number_of_blocks
        self.most = left.format.block * left.largest * right.largest

    @property
    def shape(self) -> tuple[int, int, int]:
        """Batch, rows and columns of the result."""
        return self.product.shape

    def bound(self, weight: int) -> int:
        """No sum over any subset of an output's terms, integers in units of 2**weight, is larger in magnitude.

        By Cauchy and Schwarz the values of a row's and a column's blocks sum to the product of their Euclidean norms at
        most, in magnitude; bringing a value to the grid moves it by less than 1.
        """

        def find() -> int:
            norms = Fraction(self.left.norm) * Fraction(self.right.norm) * _SLACK
            exponent = self.left.span.greatest + self.right.span.greatest - weight
            unit = Fraction(1 << exponent) if exponent >= 0 else Fraction(1, 1 << -exponent)
            largest: int = math.ceil(norms * unit)
            return largest + self.blocks

        return self.make(("bound", weight), find)

    def is_exact_in(self, lanes: Float, weight: int | None) -> bool:
        """True if every sum of a block is exact in a float type, and so is every value, in units of 2**weight.

        Without a weight it is enough if a value is rounded once, which in float32 the last product may do. Values may
        be infinite: those are too large for any register.
        """
        left, right = self.left, self.right
        factors = left.of_codes.most_factor * right.of_codes.most_factor
        if self.most * factors > 1 << lanes.bits:
            return False
        a, b, drop = left.span, right.span, weight or 0
        if min(a.least, b.least - drop) < lanes.least:
            return False
        room = left.of_codes.most_factor.bit_length()
        if a.greatest + room + self.most.bit_length() >= lanes.beyond:
            return False
        if b.greatest - drop + right.of_codes.most_factor.bit_length() >= lanes.beyond:
            return False
        once = weight is None and lanes is FLOAT32
        return once or a.least + b.least - drop >= lanes.least

    def lanes(self, dtype: Any) -> Lanes:
        """Operands whose sums are exact in a float type: words of two int16 where the processor has them, or floats."""
        return self.make(("lanes", dtype, machine.PAIRS), self._lanes, dtype)

    def _lanes(self, dtype: Any) -> Lanes:
        size, rows = self.left.format.block, self.shape[1]
        if machine.PAIRS and size % PAIRS.count == 0 and self.most < 1 << 31:
            left, right = left_planes(self.left, rows, PAIRS), right_planes(self.right, PAIRS)
            if left is not None and right is not None and left.offsets == right.offsets == (0,):
                return Lanes(left.values[0], right.values[0], size // PAIRS.count)
        return Lanes(self.left.strips(dtype, rows), self.right.panels(dtype), size)

    def factors(self, dtype: Any, weight: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
        """Factors of rows and columns as floats, their products in units of 2**weight."""
        return self.product.rows_of(self.left.reals(dtype)), self.right.reals(dtype, weight)

    @property
    def planes(self) -> tuple[int, int]:
        """Number of planes of both operands whose sums float64 holds: one if it holds the products' own."""
        if self.most <= 1 << FLOAT64.bits:
            return 1, 1
        left, right = (2 if operand.largest >> PLANE_BITS else 1 for operand in self.sides)
        return left, right

    def check_width(self) -> None:
        """Refuse elements whose sums of products are wider than the kernels take."""
        counts, size = self.planes, self.left.format.block
        peaks = [max(int(np.abs(t).max()) for t in side.planes(n)) for side, n in zip(self.sides, counts, strict=True)]
        bits = self.most.bit_length()
        if bits <= MAX_SUM_BITS and size * peaks[0] * peaks[1] <= 1 << FLOAT64.bits:
            return
        a, b = (side.format for side in self.sides)
        raise ValueError(
            f"the sum of {size} products of the elements of {a} and {b} could need {bits} bits beside its sign, which "
            "is wider than what is simulated fast; give elements of fewer exponent bits, or smaller blocks, or ask "
            "ptqsim.block_reference.matmul, which takes all"
        )

    def integers(self) -> tuple[Any, ...]:
        """Arguments of the kernels in integers: strips, panels, shifts, size, factors and exponents."""
        steps = [[PLANE_BITS, 0][2 - count :] for count in self.planes]
        shifts = np.array([[x + w for w in steps[1]] for x in steps[0]], np.int64)
        rows = self.shape[1]
        strips, panels = (side.lane_planes(rows, n) for side, n in zip(self.sides, self.planes, strict=True))
        factors = self.product.rows_of(self.left.factors), self.right.factors
        exponents = self.product.rows_of(self.left.exponents), self.right.exponents
        return strips, panels, shifts, self.left.format.block, factors, exponents

    @property
    def sides(self) -> tuple[BlockOperand, BlockOperand]:
        """Both operands."""
        return self.left, self.right
