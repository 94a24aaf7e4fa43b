"""Steps of tiles whose register has another overflow mode than the accumulator: one of the two wraps, one saturates."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptqsim.datapath.spec import OverflowMode
from ptqsim.gemm.exact import grain, wrapped
from ptqsim.gemm.operands.operand import INT32_MAX
from ptqsim.gemm.operands.planes import UNSIGNED_BYTES, left_planes, right_planes
from ptqsim.gemm.product import Product
from ptqsim.gemm.steps.groups import Groups, holds, limits_of, run_tiles
from ptqsim.gemm.steps.preload import Preload
from ptqsim.kernels.matmul import mixed
from ptqsim.kernels.runtime import machine
from ptqsim.kernels.runtime import threads as _threads


def run(
    product: Product, groups: Groups, tiles: NDArray[np.int64], acc: NDArray[np.int64],
    events: NDArray[np.int32] | None, preload: Preload | None = None,
) -> str:  # fmt: skip
    """Accumulate some tiles into `acc`, with their events added to `events` if given; the kernel's name."""
    if events is None and _in_pairs(product, groups, tiles, acc, preload):
        return "saturate_pairs_int8"
    return _in_lanes(product, groups, tiles, acc, events, preload)


def _in_pairs(
    product: Product, groups: Groups, tiles: NDArray[np.int64], acc: NDArray[np.int64], preload: Preload | None
) -> bool:
    """The steps by the instruction for pairs of bytes, if both operands are bytes as they are and nothing is counted.

    It multiplies unsigned bytes by signed ones. Both of a pair are added at once, which is the same as one after the
    other, since the first always fits 16 bits. The accumulator wraps, so it is reduced once, with its start value.
    """
    saturates = groups.inner_overflow == OverflowMode.SATURATE
    if not (machine.PAIRS and saturates and (groups.group, groups.inner_bits) == (2, 16) and groups.bits <= 32):
        return False
    left = left_planes(product.left, product.shape[1], UNSIGNED_BYTES)
    right = right_planes(product.right, UNSIGNED_BYTES)
    if left is None or right is None or left.offsets != (0,) or right.offsets != (0,) or not product.outputs:
        return False
    arguments = (tiles, product.pairs, left.values[0], right.values[0], 64 - groups.bits, acc)
    _threads.run(mixed.pair_tiles, len(tiles), grain(product), *arguments)
    if preload is not None:
        acc[:] = wrapped(acc + preload.values[product.pairs[:, 1], None], groups.bits)
    return True


def _in_lanes(
    product: Product, groups: Groups, tiles: NDArray[np.int64], acc: NDArray[np.int64],
    events: NDArray[np.int32] | None, preload: Preload | None,
) -> str:  # fmt: skip
    inner_bits = groups.inner_bits
    assert inner_bits is not None
    inner_saturates = groups.inner_overflow == OverflowMode.SATURATE
    dtype: Any = np.int32 if _fits_int32(product, groups, inner_bits, events is not None) else np.int64
    word = np.iinfo(dtype).bits
    drops = [(dtype(word - bits),) * 2 for bits in (inner_bits, groups.bits)]
    inner, outer = limits_of(inner_bits, dtype), limits_of(groups.bits, dtype)
    limits = (*inner, *drops[1]) if inner_saturates else (*drops[0], *outer)
    start = np.zeros((len(product.right.codes), product.shape[2]), np.int64) if preload is None else preload.values
    loaded = Preload(start, on=False).panels(dtype)
    strips, panels = product.left.strips(dtype, product.shape[1]), product.right.panels(dtype)
    counts = None if events is None else np.zeros_like(events)
    arguments = (strips, panels, loaded, groups.group, inner_saturates, *limits)
    run_tiles(mixed.lane_tiles, product, tiles, arguments, acc, counts)
    if events is not None and counts is not None:
        events += counts
    modes = "saturate_in_wrap" if inner_saturates else "wrap_in_saturate"
    return f"{modes}_{np.dtype(dtype).name}"


def _fits_int32(product: Product, groups: Groups, inner_bits: int, counts: bool) -> bool:
    """True if both registers and what is added to them stay in int32, or an outer one that only wraps may leave it."""
    inner = (1 << (inner_bits - 1)) + product.peak <= INT32_MAX
    outer = (1 << (groups.bits - 1)) + (1 << (inner_bits - 1)) <= INT32_MAX
    reduces = groups.inner_overflow == OverflowMode.SATURATE and groups.bits <= 32 and not counts
    return inner and (outer or reduces) and holds(product, np.int32)
