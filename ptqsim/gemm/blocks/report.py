"""From registers to the result of a product of blocks: count events, raise if it traps, and tell what is exact."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ptqsim.datapath.blocks import block_reference
from ptqsim.datapath.blocks.registers import Cut, FixedPoint
from ptqsim.datapath.register import fits
from ptqsim.datapath.spec import OverflowMode
from ptqsim.datapath.statistics import FirstEvent, OverflowStatistics, PrefixRange, no_event
from ptqsim.errors import AccumulatorOverflowError
from ptqsim.formats.blocks.array import BlockArray
from ptqsim.gemm.blocks.product import BlockProduct
from ptqsim.gemm.blocks.registers import Held, unbounded
from ptqsim.gemm.results.result import MatmulResult


def of_fixed(
    held: Held, product: BlockProduct, a: BlockArray, b: BlockArray, register: FixedPoint, shape: tuple[int, ...],
    statistics: bool,
) -> MatmulResult:  # fmt: skip
    """The result of a fixed-point register.

    Raises
    ------
    AccumulatorOverflowError
        Under ``trap``, if it overflowed.
    """
    ranges = partial(_prefixes, product, a, b, register)
    found: OverflowStatistics | None = None
    if held.events is not None:
        first = partial(_first_event, held.events.reshape(shape), a, b, register)
        overflowing = int(np.count_nonzero(held.events))
        found = OverflowStatistics(overflowing, int(held.events.sum(dtype=np.int64)), first, ranges)
        if overflowing and register.overflow == OverflowMode.TRAP:
            event = first()
            raise AccumulatorOverflowError(*event, "accumulator", register.bits, found.bits_needed)
    elif statistics:
        found = OverflowStatistics(0, 0, no_event, ranges)
    scale = a.format.tensor_scale * b.format.tensor_scale * 2.0**register.weight
    acc = held.acc.reshape(shape)
    without_events = held.events is not None and found is not None and not found.outputs
    exact = True if held.exact or without_events else partial(_is_unbounded, acc.copy(), product, a, b, register)
    return MatmulResult(acc, scale, found if statistics else None, held.kernel, held.certificate, exact)


def is_exact_in_reals(acc: NDArray[np.float32], product: BlockProduct, a: BlockArray, b: BlockArray) -> bool:
    """True if every float is the exact sum of the values of all blocks."""
    if not np.isfinite(acc).all():
        return False
    weight = product.left.span.least + product.right.span.least  # every value is a multiple of it
    found = unbounded(product, weight, Cut.CUT)
    if found is None:
        sums = (sum(values, Fraction(0)) for values in _values(a, b))
        return all(Fraction(float(x)) == exact for x, exact in zip(acc.flat, sums, strict=True))
    with np.errstate(over="ignore"):
        units = np.ldexp(acc.astype(np.float64), -weight)
    return bool(np.array_equal(units, found.acc.reshape(acc.shape)) and (np.abs(units) < 2.0**62).all())


def _is_unbounded(
    acc: NDArray[np.int64], product: BlockProduct, a: BlockArray, b: BlockArray, register: FixedPoint
) -> bool:  # fmt: skip
    """True if every register holds what one without limits would."""
    found = unbounded(product, register.weight, register.rounding)
    if found is not None:
        return np.array_equal(acc, found.acc.reshape(acc.shape))
    sums = (sum(block_reference.on_grid(value, register) for value in values) for values in _values(a, b))
    return all(int(x) == exact for x, exact in zip(acc.flat, sums, strict=True))


def _prefixes(product: BlockProduct, a: BlockArray, b: BlockArray, register: FixedPoint) -> PrefixRange:
    found = unbounded(product, register.weight, register.rounding)
    if found is not None:
        return PrefixRange(found.lowest, found.highest)
    lowest = highest = 0
    for values in _values(a, b):
        total = 0
        for value in values:
            total += block_reference.on_grid(value, register)
            lowest, highest = min(lowest, total), max(highest, total)
    return PrefixRange(lowest, highest)


def _values(a: BlockArray, b: BlockArray) -> Iterator[list[Fraction]]:
    """The values of the blocks of every output, in C order."""
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    for index in np.ndindex(lead):
        for row in block_reference.values(_matrix(a, lead, index), _matrix(b, lead, index)):
            yield from row


def _first_event(
    events: NDArray[np.int32], a: BlockArray, b: BlockArray, register: FixedPoint
) -> FirstEvent:  # fmt: skip
    """The first output with an event, and its first block with one, as the reference sees it."""
    element = tuple(int(i) for i in np.unravel_index(int(np.argmax(events != 0)), events.shape))
    *index, i, j = element
    lead = events.shape[:-2]
    row, column = _matrix(a, lead, tuple(index), slice(i, i + 1)), _matrix(b, lead, tuple(index), slice(j, j + 1))
    total = 0
    for block, value in enumerate(block_reference.values(row, column)[0][0]):
        exact = total + block_reference.on_grid(value, register)
        if not fits(exact, register.bits):
            return FirstEvent(element, block)
        total = exact
    raise AssertionError(f"the kernel counted an overflow at {element} that the reference does not see")


def _matrix(
    array: BlockArray, lead: tuple[int, ...], index: tuple[int, ...], lines: slice = slice(None)
) -> BlockArray:  # fmt: skip
    """One matrix of an array whose leading dimensions are broadcast, or some of its rows (a) or columns (b)."""
    codes = np.broadcast_to(array.codes, (*lead, *array.codes.shape[-3:]))[index][lines]
    scales = np.broadcast_to(array.scales, (*lead, *array.scales.shape[-2:]))[index][lines]
    return BlockArray(codes, scales, array.format, array.depth, array.axis)
