"""One batch of matrix products into one register each: its shapes, and what bounds its sums."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ptqsim.gemm.operands.operand import FLOAT32_EXACT, FLOAT64_EXACT, Keeper, LineNorms, Norms, PreparedOperand
from ptqsim.kernels.codegen.geometry import COLUMNS, ROWS

# Covers the rounding of norms above 2**53: each of K < 2**31 additions is off by at most 2**-53, relatively.
_SLACK = 2.0**-20


class Product(Keeper):
    """Operands whose leading dimensions are broadcast by index instead of by copy.

    The result is [batch, M, N], which in C order is the result of the caller's shape.

    Parameters
    ----------
    left, right : PreparedOperand
        Operands whose shapes are known to fit.

    Attributes
    ----------
    pairs : int64 array [batch, 2]
        Left and right matrix of each product of the batch.
    shape : tuple of int
        Batch, rows and columns of the result.
    outputs : int
        Number of output elements.
    tiles : tuple of int
        Numbers of tiles: of matrices in the batch, of panels, and of blocks of rows.
    depth : int
        Number of products per output, K.
    datatype_bound : int
        No sum over any subset of one output's products is larger in magnitude, whatever the codes are.
    """

    def __init__(self, left: PreparedOperand, right: PreparedOperand) -> None:
        super().__init__()
        self.left, self.right = left, right
        self._matrices, self.pairs, self.shape, self.outputs, self.tiles = _geometry(
            left.lead, left.codes.shape, right.lead, right.codes.shape
        )
        self.depth: int = right.codes.shape[1]
        self.datatype_bound: int = self.depth * left.largest * right.largest

    def rows_of(self, array: NDArray[Any]) -> NDArray[Any]:
        """Something of the left operand [n, rows, ...], with its rows as those of this product."""
        return array.reshape(self._matrices, self.shape[1], *array.shape[2:])

    @property
    def bound(self) -> int:
        """No sum over any subset of one output's products is larger in magnitude, with these codes."""

        def find() -> int:
            return min(self.datatype_bound, magnitude_bound(self.left.largest_norms, self.right.largest_norms))

        return self.make("bound", find)

    @property
    def peak(self) -> int:
        """No single product is larger in magnitude."""

        def find() -> int:
            # Of floats the product would round; the peaks are integers below 2**48.
            return min(int(self.left.largest_norms.peak) * int(self.right.largest_norms.peak), self.bound)

        return self.make("peak", find)

    def is_below(self, limit: int) -> bool:
        """True if `bound` is at most `limit`; codes are examined only if their formats do not decide."""
        return self.datatype_bound <= limit or self.bound <= limit

    def exact_type(self) -> type[np.float32] | type[np.float64] | None:
        """The float type in which every partial sum is exact in any order, or None.

        A float type with t significant bits holds every integer up to 2**t, and `bound` covers the sum over any subset
        of the products: whatever order and blocking a BLAS takes, and with or without fused multiply-add, no addition
        rounds.
        """
        if self.is_below(FLOAT32_EXACT) and self.left.float_type == self.right.float_type == np.float32:
            return np.float32
        return np.float64 if self.is_below(FLOAT64_EXACT) else None

    def by_blas(self, dtype: Any) -> NDArray[Any]:
        """The product [batch, M, N] in the float type `dtype`."""
        a, b = self.rows_of(self.left.values(dtype)), self.right.values(dtype)
        # A BLAS may compute in lanes beyond a small matrix, on whatever is there, and leave the flag of that behind.
        with np.errstate(invalid="ignore"):
            if len(a) == len(b) == len(self.pairs):
                return np.asarray(np.matmul(a, b))
            out = np.empty(self.shape, dtype)
            for index, (left, right) in enumerate(self.pairs):
                np.matmul(a[left], b[right], out=out[index])
            return out

    def tiles_below(self, limit: int) -> NDArray[np.int64]:
        """The tiles none of whose outputs has a sum over a subset of its products beyond `limit` in magnitude."""
        # No tile's norms are less than those of any line; where that bound is beyond the limit, all are.
        if _least_of(self.left.least_norms, self.right.least_norms) > limit:
            return np.empty(0, np.int64)
        return np.flatnonzero(self.tile_bounds() <= limit)

    def tile_bounds(self) -> NDArray[np.float64]:
        """`bound` for the outputs of each tile apart, in the numbering of `kernels.accumulate`."""
        rows, columns = self.left.block_norms(self.shape[1], ROWS), self.right.block_norms(self.shape[2], COLUMNS)
        # [batch, panel, block of rows]
        a = LineNorms(*(norm[self.pairs[:, 0], None, :] for norm in rows))
        b = LineNorms(*(norm[self.pairs[:, 1], :, None] for norm in columns))
        return np.asarray(_least_bound(a, b)).reshape(-1)

    def outputs_in(self, tiles: NDArray[np.int64]) -> int:
        """Number of outputs in some of the tiles."""
        _, rows, columns = self.shape
        _, panel, block = np.unravel_index(tiles, self.tiles)
        return int((np.minimum(ROWS, rows - block * ROWS) * np.minimum(COLUMNS, columns - panel * COLUMNS)).sum())


class _Geometry(NamedTuple):
    matrices: int
    pairs: NDArray[np.int64]
    shape: tuple[int, int, int]
    outputs: int
    tiles: tuple[int, int, int]


# A layer has the same shapes in every call.
@lru_cache(maxsize=256)
def _geometry(
    left_lead: tuple[int, ...], left: tuple[int, ...], right_lead: tuple[int, ...], right: tuple[int, ...]
) -> _Geometry:
    """Number of left matrices, and what `Product` says of itself, from leading dimensions and shapes of codes."""
    matrices, rows, _ = left
    if math.prod(right_lead) == 1:
        # One right matrix for all: the rows of every left one are rows of a single, larger product.
        matrices, rows, left_lead, right_lead = 1, matrices * rows, (), ()
    pairs, columns = _pairs(left_lead, right_lead), right[2]
    shape = (len(pairs), rows, columns)
    return _Geometry(matrices, pairs, shape, math.prod(shape), (len(pairs), -(-columns // COLUMNS), -(-rows // ROWS)))


def _pairs(left: tuple[int, ...], right: tuple[int, ...]) -> NDArray[np.int64]:
    """Numbers of the left and the right matrix of each product of the batch, [batch, 2]."""
    lead = np.broadcast_shapes(left, right)
    columns = [np.broadcast_to(np.arange(math.prod(own)).reshape(own), lead).reshape(-1) for own in (left, right)]
    pairs: NDArray[np.int64] = np.stack(columns, axis=1)
    pairs.flags.writeable = False
    return pairs


def magnitude_bound(a: Norms, b: Norms) -> int:
    """An integer that no sum over any subset of one output's products exceeds in magnitude.

    Every such sum is at most sum |a_l| |w_l|, and that is at most max|a| * sum|w|, sum|a| * max|w|, and by Cauchy and
    Schwarz sqrt(sum a_l**2 * sum w_l**2); here with the largest norm of any row and any column.
    """
    return math.ceil(_least_of(a, b))


def _least_of(a: Norms, b: Norms) -> float:
    """`_least_bound` of two numbers each, for which numpy takes ten times as long."""
    least: float = _least_bound(a, b, min, math.sqrt)
    return least


def _least_bound(a: Any, b: Any, least: Callable[..., Any] = np.minimum, root: Callable[..., Any] = np.sqrt) -> Any:
    """The least of the three bounds, for norms that broadcast; an upper bound of it where floats round."""
    product = least(a.peak * b.total, a.total * b.peak)
    exact_or_above = product * (1.0 + (product >= FLOAT64_EXACT) * _SLACK)
    return least(exact_or_above, root(a.energy * b.energy) * (1.0 + _SLACK))
