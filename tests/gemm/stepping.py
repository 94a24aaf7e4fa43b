"""Datapaths in vectorized NumPy: one addition at a time over whole matrices, in 64-bit integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import ptqsim as pq


def bounded(total: NDArray[np.int64], bits: int, overflow: str) -> NDArray[np.int64]:
    half = 1 << (bits - 1)
    if overflow == "wrap":
        return (total + half) % (2 * half) - half
    return np.clip(total, -half, half - 1)


def run(
    a: NDArray[np.int64], b: NDArray[np.int64], accumulator: pq.Accumulator
) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[int, int]]:
    """Result, events per output, and the range of the exact prefix sums; for aligned operands and no deferral."""
    order, overflow = accumulator.order, str(accumulator.overflow)
    shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
    register, exact, events = (np.zeros(shape, np.int64) for _ in range(3))
    low = high = 0

    def add(before: NDArray[np.int64], term: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
        nonlocal events
        after = bounded(before + term, bits, overflow)
        events = events + (after != before + term)
        return after

    for start in range(0, a.shape[-1], order.group):
        inner = np.zeros(shape, np.int64)
        for k in range(start, min(start + order.group, a.shape[-1])):
            product = a[..., k, None] * b[..., k, None, :]
            inner = add(inner, product, order.inner_bits) if isinstance(order, pq.Split) else inner + product
            exact += product
        register = add(register, inner, accumulator.bits)
        low, high = min(low, int(exact.min())), max(high, int(exact.max()))
    return register, events, (low, high)
