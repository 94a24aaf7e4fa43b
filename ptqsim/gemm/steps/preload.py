"""Registers that do not start at zero, and the exact sums that they go through."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ptqsim.gemm.exact import all_tiles, grain
from ptqsim.gemm.product import Product
from ptqsim.kernels.codegen.geometry import COLUMNS
from ptqsim.kernels.matmul import preloaded
from ptqsim.kernels.runtime import threads as _threads


class Preload(NamedTuple):
    """Start values of the P-bit registers, [B, N]; `on` if these are the only ones, in the sequential order."""

    values: NDArray[np.int64]
    on: bool

    def panels(self, dtype: Any) -> NDArray[Any]:
        """The same for whole panels of columns, zero beyond N."""
        count, columns = self.values.shape
        panels: NDArray[Any] = np.zeros((count, -(-columns // COLUMNS) * COLUMNS), dtype)
        panels[:, :columns] = self.values
        return panels


def prefix_range(product: Product, group: int, preload: Preload, dtype: Any) -> NDArray[np.int64]:
    """Least and greatest exact sum in groups, and of the loaded registers after them, each with zero.

    The type holds every one of them exactly. In the sequential order those in groups are of the loaded registers too.
    """
    strips, panels = product.left.strips(dtype, product.shape[1]), product.right.panels(dtype)
    tiles, unit = all_tiles(product.tiles), _threads.unit(grain(product))
    found = np.zeros((-(-len(tiles) // unit), 4), np.int64)
    arguments = (product.pairs, strips, panels, preload.panels(dtype), preload.on, product.shape[2], group, unit, found)
    _threads.run(preloaded.prefix_range, len(tiles), grain(product), tiles, *arguments)
    least, greatest = found.min(axis=0, initial=0), found.max(axis=0, initial=0)
    if preload.on:
        return np.array([0, 0, min(least[0], least[2]), max(greatest[1], greatest[3])])
    return np.array([least[0], greatest[1], least[2], greatest[3]])
