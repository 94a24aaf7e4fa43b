"""Products of codes whose zero points are corrected: what the registers start from, and what is added at the end."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptqsim.datapath.limits.sums import Side, of_one_product
from ptqsim.datapath.order import Split
from ptqsim.datapath.spec import Accumulator, OverflowMode, bits_for
from ptqsim.datapath.statistics import PrefixRange
from ptqsim.formats.arrays.codes import look_up
from ptqsim.gemm.exact import all_tiles, exact_product, wrapped
from ptqsim.gemm.operands.operand import FLOAT32_EXACT, FLOAT64_EXACT, PreparedOperand
from ptqsim.gemm.product import Product
from ptqsim.gemm.steps import stepwise
from ptqsim.gemm.steps.groups import Groups
from ptqsim.gemm.steps.preload import Preload, prefix_range


class Correction:
    """The products that a register takes in place of those of aligned values, and the zero points that this leaves out.

    Parameters
    ----------
    aligned : Product
        Of the aligned values.
    a_zero, b_zero : int
        The zero points.
    """

    def __init__(self, aligned: Product, a_zero: int, b_zero: int) -> None:
        self.aligned, self.a_zero, self.b_zero = aligned, a_zero, b_zero

    @cached_property
    def product(self) -> Product:
        """The product of the integers of the codes, before zero points are subtracted."""
        return Product(self.aligned.left.uncorrected(), self.aligned.right.uncorrected())

    def constants(self) -> NDArray[np.int64]:
        """Start values of the registers, [B, N]: -z_a * sum(B) + K * z_a * z_b, which is -z_a times sum(b)."""
        right = self.aligned.right
        return right.make(("constants", self.a_zero), lambda: -self.a_zero * _sums(right, 1))

    def rests(self) -> NDArray[np.int64]:
        """Terms that are added at the end, [A, M]: -z_b * sum(A)."""
        left = self.product.left
        sums = left.make(("rests", self.b_zero), lambda: -self.b_zero * _sums(left, 2))
        return self.product.rows_of(sums)

    def fits_by_formats(self, groups: Groups) -> int | None:
        """The largest magnitude that a register can hold with any codes; None if one of them could overflow."""
        a, b = _side(self.aligned.left, self.a_zero), _side(self.aligned.right, self.b_zero)
        depth, largest = self.aligned.depth, 0
        for bits, tile in ((groups.bits, False), (groups.inner_bits, True)):
            low, high = of_one_product(a, b, corrected=True, tile=tile)
            if bits is not None and bits_for(depth * low, depth * high) > bits:
                return None
            largest = max(largest, -depth * low, depth * high) if bits is not None else largest
        return largest

    def fits_by_norms(self, groups: Groups) -> int | None:
        """The same with these codes."""
        constant = int(np.abs(self.constants()).max(initial=0)) if self.a_zero else 0
        outer = max(constant + self.product.bound, self.aligned.bound)
        inner = 0 if groups.inner_bits is None else self.product.bound
        fits = outer <= _largest(groups.bits) and (groups.inner_bits is None or inner <= _largest(groups.inner_bits))
        return max(outer, inner) if fits else None

    def step(self, accumulator: Accumulator, groups: Groups, acc: NDArray[np.int64], events: Any) -> str:
        """Accumulate every output into `acc`, with its events in `events` if given; the kernel's name."""
        overflow = OverflowMode(accumulator.overflow)
        preload = None
        if self.a_zero:
            constants = self.constants()
            loaded = _bounded(constants, groups.bits, overflow)
            preload = Preload(loaded, _is_sequential(accumulator))
            if events is not None:
                events += (loaded != constants)[self.product.pairs[:, 1], None]
        tiles = all_tiles(self.product.tiles)
        name = stepwise.run(self.product, groups, overflow, tiles, acc, events, preload)
        if self.b_zero:
            total = acc + self.rests()[self.product.pairs[:, 0], :, None]
            acc[:] = _bounded(total, groups.bits, overflow)
            if events is not None:
                events += acc != total
        return name

    def prefixes(self, accumulator: Accumulator) -> PrefixRange:
        """Range of the exact sums that the registers go through."""
        groups, product = Groups.of(accumulator, self.product.depth), self.product
        constants = self.constants()
        on = _is_sequential(accumulator)
        largest = int(np.abs(constants).max(initial=0)) + product.bound
        floats = product.left.float_type == product.right.float_type == np.float32
        dtype = (
            np.float32 if floats and largest <= FLOAT32_EXACT else np.float64 if largest <= FLOAT64_EXACT else np.int64
        )
        found = prefix_range(product, groups.group, Preload(constants, on), dtype)
        ends = [int(constants.min(initial=0)), int(constants.max(initial=0))]
        final = exact_product(self.aligned).acc
        lowest = min(ends[0], int(found[2]), int(final.min(initial=0)))
        highest = max(ends[1], int(found[3]), int(final.max(initial=0)))
        inner = (int(found[0]), int(found[1])) if isinstance(accumulator.order, Split) else (0, 0)
        return PrefixRange(lowest, highest, *inner)


def _is_sequential(accumulator: Accumulator) -> bool:
    return accumulator.order.group == 1 and not isinstance(accumulator.order, Split)


def _largest(bits: int) -> int:
    return (1 << (bits - 1)) - 1


def _side(operand: PreparedOperand, zero_point: int) -> Side:
    return Side(min(0, int(operand.table.min())), max(0, int(operand.table.max())), zero_point)


def _sums(operand: PreparedOperand, axis: int) -> NDArray[np.int64]:
    sums: NDArray[np.int64] = look_up(operand.codes, operand.table).sum(axis=axis)
    return sums


def _bounded(values: NDArray[np.int64], bits: int, overflow: OverflowMode) -> NDArray[np.int64]:
    """The values as registers of some bits hold them; a trap saturates here, as its event is what counts."""
    if overflow == OverflowMode.WRAP:
        return wrapped(values, bits)
    return np.clip(values, -_largest(bits) - 1, _largest(bits))
