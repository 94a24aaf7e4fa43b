"""Accumulation step by step, in the narrowest machine type that is proven exact."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ptqsim.datapath.spec import Accumulator, Split
from ptqsim.datapath.statistics import PrefixRange
from ptqsim.gemm.operands import FLOAT32_EXACT, FLOAT64_EXACT
from ptqsim.gemm.product import Product
from ptqsim.kernels import _threads, accumulate

# Tiles below which another thread costs more than it brings.
_GRAIN = 4

INT32_MAX, INT64_MAX = (1 << 31) - 1, (1 << 63) - 1


class Groups(NamedTuple):
    """How the kernels cut the depth: products per tile register, and the widths of both registers.

    `inner_bits` is None for an adder tree, whose sums are exact whatever they are.
    """

    group: int
    inner_bits: int | None
    bits: int

    @classmethod
    def of(cls, accumulator: Accumulator, depth: int) -> Groups:
        """The groups of an order. One group that is as wide as the accumulator is the sequential order."""
        order = accumulator.order
        if not isinstance(order, Split) and order.group == 1:
            return cls(max(depth, 1), accumulator.bits, accumulator.bits)
        inner_bits = order.inner_bits if isinstance(order, Split) else None
        return cls(order.group, inner_bits, accumulator.bits)

    @property
    def homomorphic(self) -> bool:
        """Whether the outcome of wrapping is the exact sum mod 2**bits: the tile register drops no bit of those."""
        return self.inner_bits is None or self.inner_bits >= self.bits

    @property
    def narrowest(self) -> int:
        """Width of the narrower register."""
        return self.bits if self.inner_bits is None else min(self.bits, self.inner_bits)

    @property
    def widest(self) -> int:
        """Width of the wider register."""
        return self.bits if self.inner_bits is None else max(self.bits, self.inner_bits)

    def term_bound(self, product: Product) -> int:
        """The largest magnitude that is ever added to a register."""
        if self.inner_bits is None:
            return min(self.group * product.peak, product.bound)
        inner = 1 << (self.inner_bits - 1) if self.group < product.depth else 0
        return max(product.peak, inner)


def saturate(
    product: Product, groups: Groups, tiles: NDArray[np.int64], acc: NDArray[np.int64], events: NDArray[np.int32] | None
) -> str:
    """Clamped accumulation of some tiles into `acc`, counted in `events` if given; the kernel's name."""
    dtype = _saturating_type(product, groups)
    wide = np.inf if dtype in (np.float32, np.float64) else np.iinfo(dtype).max
    inner = _limits(groups.inner_bits, dtype) if groups.inner_bits is not None else (dtype(-wide), dtype(wide))
    limits = (*inner, *_limits(groups.bits, dtype))
    _run(accumulate.saturate_tiles, product, groups, tiles, dtype, limits, acc, events)
    return f"saturate_{np.dtype(dtype).name}"


def wrap(
    product: Product, groups: Groups, tiles: NDArray[np.int64], acc: NDArray[np.int64], events: NDArray[np.int32] | None
) -> str:
    """Wrapped accumulation of some tiles into `acc`, counted in `events` if given; the kernel's name."""
    fits = (1 << (groups.widest - 1)) + groups.term_bound(product) <= INT32_MAX and groups.widest < 32
    dtype: Any = np.int32 if fits and _holds(product, np.int32) else np.int64
    word = np.iinfo(dtype).bits
    drops = (dtype(0 if groups.inner_bits is None else word - groups.inner_bits), dtype(word - groups.bits))
    _run(accumulate.wrap_tiles, product, groups, tiles, dtype, drops, acc, events)
    return f"wrap_{np.dtype(dtype).name}"


def prefixes(product: Product, accumulator: Accumulator) -> PrefixRange:
    """Range of the exact prefix sums of all outputs, in the order given."""
    dtype = product.exact_type() or np.int64
    order = accumulator.order
    # A sequential prefix is what a tile register as deep as the product sees.
    sequential = order.group == 1 and not isinstance(order, Split)
    group = max(product.depth, 1) if sequential else order.group
    a, tiles = product.a.astype(dtype, copy=False), product.tiles()
    parts = _threads.run(accumulate.prefix_range, len(tiles), _GRAIN, tiles, a, product.panels(dtype), group)
    least, greatest, inner_least, inner_greatest = zip(*parts, strict=True)
    outer, inner = (int(min(least)), int(max(greatest))), (int(min(inner_least)), int(max(inner_greatest)))
    if isinstance(order, Split):
        return PrefixRange(*outer, *inner)
    return PrefixRange(*(inner if sequential else outer))


def exact_integer(product: Product) -> NDArray[np.int64]:
    """The exact product in int64, for sums that no float type holds."""
    acc = np.zeros(product.shape, np.int64)
    tiles = product.tiles()
    groups = Groups(max(product.depth, 1), None, 63)
    limits = tuple(np.int64(sign * INT64_MAX) for sign in (-1, 1, -1, 1))
    _run(accumulate.saturate_tiles, product, groups, tiles, np.int64, limits, acc, None)
    return acc


def _run(
    kernel: Any, product: Product, groups: Groups, tiles: NDArray[np.int64], dtype: Any, limits: tuple[Any, ...],
    acc: NDArray[np.int64], events: NDArray[np.int32] | None,
) -> None:  # fmt: skip
    if not len(tiles):
        return
    a, panels = product.a.astype(dtype, copy=False), product.panels(dtype)
    counts = np.zeros((0, 0, 0), np.int32) if events is None else events
    arguments = (tiles, a, panels, groups.group, *limits, acc, events is not None, counts)
    _threads.run(kernel, len(tiles), _GRAIN, *arguments)


def _saturating_type(product: Product, groups: Groups) -> Any:
    """The fastest type in which clamped accumulation is exact.

    A float type needs its registers, limits and operands exact, and an adder tree's sums; a product may be rounded (see
    kernels/accumulate.py). An integer type needs register + term.
    """
    term = groups.term_bound(product)
    exact_terms = groups.inner_bits is not None
    for dtype, exact, bits in ((np.float32, FLOAT32_EXACT, 24), (np.int32, 0, 0), (np.float64, FLOAT64_EXACT, 53)):
        if dtype is np.int32:
            fits = (1 << (groups.widest - 1)) + term <= INT32_MAX
        else:
            fits = groups.widest <= bits and (exact_terms or term <= exact)
        if fits and _holds(product, dtype):
            return dtype
    return np.int64


def _holds(product: Product, dtype: Any) -> bool:
    """Whether every operand is exact in `dtype`. Operands in float32 are within 2**24; others may be greater."""
    return dtype in (np.float64, np.int64) or product.a.dtype == product.b.dtype == np.float32


def _limits(bits: int, dtype: Any) -> tuple[Any, Any]:
    return dtype(-(1 << (bits - 1))), dtype((1 << (bits - 1)) - 1)
