"""One batch of matrix products into one register each: its shapes, its bound, and its exact result."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptqsim.gemm.operands import FLOAT32_EXACT, FLOAT64_EXACT, Side, magnitude_bound
from ptqsim.kernels import accumulate


@dataclass(frozen=True, slots=True)
class Product:
    """Operands whose leading dimensions are broadcast by index instead of by copy.

    The result is [batch, M, N], which in C order is the result of the caller's shape.

    Parameters
    ----------
    a, b
        Left values [A, M, K] and right values [B, K, N].
    pairs
        [batch, 2], which left and which right matrix each product of the batch takes.
    bound
        No sum over any subset of one output's products is larger in magnitude.
    peak
        No single product is larger in magnitude.
    """

    a: NDArray[Any]
    b: NDArray[Any]
    pairs: NDArray[np.int64]
    bound: int
    peak: int

    @classmethod
    def of(cls, left: Side, right: Side) -> Product:
        """The product of two operands whose shapes are known to fit."""
        a, b = left.values, right.values
        lead_a, lead_b = a.shape[:-2], b.shape[:-2]
        if math.prod(lead_b) == 1:
            # One right matrix for all: the rows of every left one are rows of a single, larger product.
            a = a.reshape(math.prod(a.shape[:-1]), a.shape[-1])
            lead_a, lead_b = (), ()
        lead = np.broadcast_shapes(lead_a, lead_b)
        columns = [
            np.broadcast_to(np.arange(math.prod(own)).reshape(own), lead).reshape(-1) for own in (lead_a, lead_b)
        ]
        norms = left.norms, right.norms
        bound = magnitude_bound(*norms)
        return cls(
            a.reshape(math.prod(lead_a), *a.shape[-2:]),
            b.reshape(math.prod(lead_b), *b.shape[-2:]),
            np.stack(columns, axis=1).astype(np.int64),
            bound,
            min(int(norms[0].peak * norms[1].peak), bound),
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Batch, rows and columns of the result."""
        return len(self.pairs), int(self.a.shape[1]), int(self.b.shape[2])

    @property
    def depth(self) -> int:
        """Number of products per output, K."""
        return int(self.a.shape[2])

    def exact_type(self) -> type[np.float32] | type[np.float64] | None:
        """The float type in which every partial sum is exact in any order, or None.

        A float type with t significant bits holds every integer up to 2**t, and `bound` covers the sum over any subset
        of the products: whatever order and blocking a BLAS takes, and with or without fused multiply-add, no addition
        rounds.
        """
        if self.bound <= FLOAT32_EXACT and self.a.dtype == self.b.dtype == np.float32:
            return np.float32
        if self.bound <= FLOAT64_EXACT:
            return np.float64
        return None

    def by_blas(self, dtype: Any, magnitudes: bool = False) -> NDArray[Any]:
        """[batch, M, N] in the float type `dtype`: the product, or that of the magnitudes."""
        a, b = self.a.astype(dtype, copy=False), self.b.astype(dtype, copy=False)
        if magnitudes:
            a, b = np.abs(a), np.abs(b)
        if len(a) == len(b) == len(self.pairs):
            return np.asarray(np.matmul(a, b))
        out = np.empty(self.shape, dtype)
        for index, (left, right) in enumerate(self.pairs):
            np.matmul(a[left], b[right], out=out[index])
        return out

    def tiles(self) -> NDArray[np.int64]:
        """[tiles, 5] work list of the accumulation kernels: batch, left and right matrix, first row, panel.

        Tiles of one panel follow each other, so that it stays in the cache.
        """
        batch, rows, columns = self.shape
        panels = range(-(-columns // accumulate.COLUMNS))
        parts = np.meshgrid(np.arange(batch), panels, np.arange(0, rows, accumulate.ROWS), indexing="ij")
        which, panel, row = (part.reshape(-1).astype(np.int64) for part in parts)
        return np.stack([which, *self.pairs[which].T, row, panel], axis=1)

    def panels(self, dtype: Any) -> NDArray[Any]:
        """The right operand in `dtype`, cut into panels [B, panel, K, COLUMNS], the last one filled up with zeros."""
        count, depth, columns = self.b.shape
        panels = -(-columns // accumulate.COLUMNS)
        cut = np.zeros((count, panels, depth, accumulate.COLUMNS), dtype)
        for panel in range(panels):
            part = self.b[:, :, panel * accumulate.COLUMNS : (panel + 1) * accumulate.COLUMNS]
            cut[:, panel, :, : part.shape[2]] = part
        return cut
