"""Accumulation step by step, in the fastest machine type that is proven exact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptqsim.datapath.spec import OverflowMode
from ptqsim.gemm.exact import grain
from ptqsim.gemm.integers import integers_wanted
from ptqsim.gemm.operands import words
from ptqsim.gemm.operands.operand import FLOAT32_EXACT, FLOAT64_EXACT, INT32_MAX
from ptqsim.gemm.operands.words import INT16_MAX
from ptqsim.gemm.product import Product
from ptqsim.gemm.steps import mixed
from ptqsim.gemm.steps.groups import Groups, holds, limits_of, run_tiles
from ptqsim.gemm.steps.preload import Preload
from ptqsim.kernels.codegen.geometry import COLUMNS, ROWS
from ptqsim.kernels.matmul import accumulate, lanes, preloaded
from ptqsim.kernels.runtime import machine
from ptqsim.kernels.runtime import threads as _threads

# One tile in so many tells whether events are few.
_SAMPLE = 64


def run(
    product: Product, groups: Groups, overflow: OverflowMode, tiles: NDArray[np.int64], acc: NDArray[np.int64],
    events: NDArray[np.int32] | None, preload: Preload | None = None,
) -> str:  # fmt: skip
    """Accumulate some tiles into `acc`, with their events in `events` if given; the kernel's name.

    Under ``trap`` registers saturate, and `events` holds something where there was one, if not how many. With a preload
    they are added to those that are there.
    """
    if groups.inner_overflow is not None:
        return mixed.run(product, groups, tiles, acc, events, preload)
    if preload is not None:
        counts = None if events is None else np.zeros_like(events)
        name = _loaded_in_words(product, groups, overflow, tiles, acc, counts, preload)
        name = name or _in_lanes(product, groups, overflow, tiles, acc, counts, preload)
        if events is not None and counts is not None:
            events += counts
        return name
    saturates = overflow != OverflowMode.WRAP and events is None
    name = _in_halves(product, groups, tiles, acc, True) if saturates else None
    name = name or _in_words(product, groups, overflow, tiles, acc, events)
    if name is None and saturates:
        name = _in_halves(product, groups, tiles, acc, False)
    return name or _in_lanes(product, groups, overflow, tiles, acc, events)


_WAYS = {
    OverflowMode.WRAP: (lanes.WRAP, lanes.WRAP_COUNTED),
    OverflowMode.SATURATE: (lanes.SATURATE, lanes.SATURATE_COUNTED),
    OverflowMode.TRAP: (lanes.SATURATE, lanes.SATURATE_COUNTED),
}


def _in_halves(
    product: Product, groups: Groups, tiles: NDArray[np.int64], acc: NDArray[np.int64], fills: bool
) -> str | None:
    """Saturating steps in int16, in an inner register that fills it or one that is lifted; None if that is wrong.

    Nothing is counted. An adder tree's sums must fit as they are, so no limit acts on them, not the machine's either.
    """
    tree = groups.inner_bits is None
    if not machine.COMPILED or groups.widest > 16 or (tree and groups.term_bound(product) > INT16_MAX):
        return None
    inner_bits = groups.inner_bits or 16
    pair = words.halves(product.left, product.right, product.peak, 16 - inner_bits if fills else 0)
    if pair is None:
        return None
    strips, panels = product.left.word_strips(pair.left, product.shape[1]), product.right.word_panels(pair.right)
    inner = (np.int16(pair.scale), np.int16(0)) if fills else limits_of(inner_bits, np.int16)
    arguments = (strips, panels, groups.group, fills, *inner, *limits_of(groups.bits, np.int16), acc)
    _threads.run(accumulate.half_tiles, len(tiles), grain(product), tiles, product.pairs, *arguments)
    return "saturate_int16"


def _in_words(
    product: Product, groups: Groups, overflow: OverflowMode, tiles: NDArray[np.int64], acc: NDArray[np.int64],
    events: NDArray[np.int32] | None,
) -> str | None:  # fmt: skip
    """The steps as dot products of words; None where that could be wrong or the processor has no such instruction.

    The inner register is the machine's. Without limits of its own its sums have to fit as they are; and the outer sum,
    in int32 too, must not leave that before it is bounded.
    """
    if not machine.DOT:
        return None
    inner = groups.inner_bound(product)
    several = groups.group < product.depth
    if groups.inner_bits is None and inner > INT32_MAX:
        return None
    if several and (1 << (groups.bits - 1)) + inner > INT32_MAX:
        return None
    pair = words.scaled(product.left, product.right, groups.inner_bits or 32)
    if pair is None:
        return None
    strips, panels = product.left.word_strips(pair.left, product.shape[1]), product.right.word_panels(pair.right)
    # With one group the outer sum is what the inner register holds, which is as wide: no limit acts.
    limits = limits_of(min(groups.bits, 32), int)

    def step(which: NDArray[np.int64], how: int, limits: tuple[Any, Any] = limits) -> None:
        arguments = (strips, panels, groups.group, how, pair.scale, *limits)
        run_tiles(accumulate.word_tiles, product, which, arguments, acc, events)

    def mark(which: NDArray[np.int64]) -> None:
        step(which, lanes.SATURATE_MARKED)

    wraps = overflow == OverflowMode.WRAP
    own = _WAYS[overflow][events is not None], ((32 - min(groups.bits, 32),) * 2 if wraps else limits)
    # A mark needs two bits below those of the register.
    if events is None or pair.scale < 2:
        step(tiles, *own)
    elif overflow == OverflowMode.TRAP:
        mark(tiles)
    else:
        _count_where_marked(product, tiles, events, mark, lambda which: step(which, *own))
    return ("wrap" if wraps else "saturate") + "_dot"


def _loaded_in_words(
    product: Product, groups: Groups, overflow: OverflowMode, tiles: NDArray[np.int64], acc: NDArray[np.int64],
    events: NDArray[np.int32] | None, preload: Preload,
) -> str | None:  # fmt: skip
    """The steps as dot products of words from loaded registers on, in sequential order; None where that is wrong."""
    if not machine.DOT or not preload.on or groups.bits > 32:
        return None
    pair = words.scaled(product.left, product.right, groups.bits)
    if pair is None:
        return None
    strips, panels = product.left.word_strips(pair.left, product.shape[1]), product.right.word_panels(pair.right)
    how = _WAYS[overflow][events is not None]
    arguments = (strips, panels, preload.panels(np.int32), how, pair.scale)
    run_tiles(preloaded.word_tiles, product, tiles, arguments, acc, events)
    return ("wrap" if overflow == OverflowMode.WRAP else "saturate") + "_dot"


def _count_where_marked(
    product: Product, tiles: NDArray[np.int64], events: NDArray[np.int32],
    mark: Callable[[NDArray[np.int64]], None], count: Callable[[NDArray[np.int64]], None],
) -> None:  # fmt: skip
    """Accumulate tiles and count their events, in those alone that have any if these are few.

    Marks take no extra time; and where nothing overflows, saturating and wrapping registers give the same.
    """

    def marked(which: NDArray[np.int64]) -> NDArray[np.int64]:
        found = np.empty(len(which), np.bool_)
        least = _threads.GRAIN // (ROWS * COLUMNS)
        _threads.run(accumulate.any_in_tiles, len(which), least, which, *product.tiles[1:], events, found)
        return which[found]

    sample = np.s_[::_SAMPLE]
    mark(tiles[sample])
    if 2 * len(marked(tiles[sample])) > len(tiles[sample]):
        count(tiles)
        return
    mark(np.delete(tiles, sample))
    count(marked(tiles))


def _in_lanes(
    product: Product, groups: Groups, overflow: OverflowMode, tiles: NDArray[np.int64], acc: NDArray[np.int64],
    events: NDArray[np.int32] | None, preload: Preload | None = None,
) -> str:  # fmt: skip
    limits: tuple[Any, ...]
    if overflow == OverflowMode.WRAP:
        dtype = _wrapping_type(product, groups)
        word = np.iinfo(dtype).bits
        inner_drop = 0 if groups.inner_bits is None else word - groups.inner_bits
        limits = tuple(dtype(drop) for drop in (inner_drop, inner_drop, word - groups.bits, word - groups.bits))
    else:
        dtype = _saturating_type(product, groups)
        wide = np.inf if dtype in (np.float32, np.float64) else np.iinfo(dtype).max
        inner = limits_of(groups.inner_bits, dtype) if groups.inner_bits is not None else (dtype(-wide), dtype(wide))
        limits = (*inner, *limits_of(groups.bits, dtype))
    strips, panels = product.left.strips(dtype, product.shape[1]), product.right.panels(dtype)
    how = _WAYS[overflow][events is not None]
    steps = (groups.group, how, *limits)
    if preload is None:
        run_tiles(accumulate.lane_tiles, product, tiles, (strips, panels, *steps), acc, events)
    else:
        loaded = preload.panels(dtype), preload.on
        run_tiles(preloaded.lane_tiles, product, tiles, (strips, panels, *loaded, *steps), acc, events)
    return f"{'wrap' if overflow == OverflowMode.WRAP else 'saturate'}_{np.dtype(dtype).name}"


def _wrapping_type(product: Product, groups: Groups) -> Any:
    """The fastest type in which wrapped accumulation is exact: register + term must not leave it."""
    fits = groups.widest < 32 and (1 << (groups.widest - 1)) + groups.term_bound(product) <= INT32_MAX
    return np.int32 if fits and holds(product, np.int32) else np.int64


def _saturating_type(product: Product, groups: Groups) -> Any:
    """The fastest type in which clamped accumulation is exact.

    A float type needs its registers, limits and operands exact, and an adder tree's sums; a product may be rounded (see
    kernels/matmul/accumulate.py). An integer type needs register + term.
    """
    term = groups.term_bound(product)
    exact_terms = groups.inner_bits is not None
    for dtype, exact, bits in ((np.float32, FLOAT32_EXACT, 24), (np.int32, 0, 0), (np.float64, FLOAT64_EXACT, 53)):
        if dtype is np.int32:
            fits = (1 << (groups.widest - 1)) + term <= INT32_MAX
        else:
            fits = not integers_wanted() and groups.widest <= bits and (exact_terms or term <= exact)
        if fits and holds(product, dtype):
            return dtype
    return np.int64
