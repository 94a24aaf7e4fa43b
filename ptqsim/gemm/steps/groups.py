"""The division of the depth by the stepping kernels, and what all of them share."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ptqsim.datapath.order import Split
from ptqsim.datapath.spec import Accumulator, OverflowMode
from ptqsim.gemm.exact import grain
from ptqsim.gemm.product import Product
from ptqsim.kernels.runtime import threads as _threads


class Groups(NamedTuple):
    """Division of the depth by the kernels: products per tile register, and the widths of both registers.

    `inner_bits` is None for an adder tree, whose sums are always exact. `inner_overflow` is the mode of the tile
    register where that is another than the accumulator's.
    """

    group: int
    inner_bits: int | None
    bits: int
    inner_overflow: OverflowMode | None = None

    @classmethod
    def of(cls, accumulator: Accumulator, depth: int) -> Groups:
        """The groups of an order. One group that is as wide as the accumulator is the sequential order."""
        order = accumulator.order
        if not isinstance(order, Split) and order.group == 1:
            return cls(max(depth, 1), accumulator.bits, accumulator.bits)
        inner_bits = order.inner_bits if isinstance(order, Split) else None
        inner = accumulator.inner_overflow
        return cls(order.group, inner_bits, accumulator.bits, None if inner == accumulator.overflow else inner)

    @property
    def homomorphic(self) -> bool:
        """True if wrapping gives the exact sum mod 2**bits, as the tile register wraps and drops no bit of it."""
        return self.inner_bits is None or (self.inner_overflow is None and self.inner_bits >= self.bits)

    def tiles_fit(self, product: Product) -> bool:
        """True if no tile register is changed by overflow."""
        return self.inner_bits is None or self.tile_peak(product) < 1 << (self.inner_bits - 1)

    def tile_peak(self, product: Product) -> int:
        """The largest magnitude of a sum over a subset of the products of one group."""
        return min(self.group * product.peak, product.bound)

    @property
    def narrowest(self) -> int:
        """Width of the narrower register."""
        return self.bits if self.inner_bits is None else min(self.bits, self.inner_bits)

    @property
    def widest(self) -> int:
        """Width of the wider register."""
        return self.bits if self.inner_bits is None else max(self.bits, self.inner_bits)

    def inner_bound(self, product: Product) -> int:
        """The largest magnitude that the inner register ends with."""
        if self.inner_bits is None:
            return self.tile_peak(product)
        return 1 << (self.inner_bits - 1)

    def term_bound(self, product: Product) -> int:
        """The largest magnitude that is ever added to a register."""
        if self.inner_bits is None:
            return self.inner_bound(product)
        return max(product.peak, self.inner_bound(product) if self.group < product.depth else 0)


def run_tiles(
    kernel: Any, product: Product, tiles: NDArray[np.int64], arguments: tuple[Any, ...], acc: NDArray[np.int64],
    events: NDArray[np.int32] | None,
) -> None:  # fmt: skip
    """Run a kernel on some tiles, which counts into `events` if given."""
    counts = np.zeros((0, 0, 0), np.int32) if events is None else events
    _threads.run(kernel, len(tiles), grain(product), tiles, product.pairs, *arguments, acc, events is not None, counts)


def holds(product: Product, dtype: Any) -> bool:
    """True if every operand is exact in `dtype`. Operands in float32 are within 2**24; others may be greater."""
    return dtype in (np.float64, np.int64) or product.left.float_type == product.right.float_type == np.float32


def limits_of(bits: int, dtype: Any) -> tuple[Any, Any]:
    """Least and greatest value of a register of `bits` bits, in a machine type."""
    return dtype(-(1 << (bits - 1))), dtype((1 << (bits - 1)) - 1)
