"""Datapaths in vectorized NumPy: one addition at a time over whole matrices, in 64-bit integers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import ptqsim as pq

# Elements of a register array that stay in a core's cache together with what a step makes of them.
_BLOCK = 1 << 14


class Expected(NamedTuple):
    """Output of a datapath: registers and events [..., M, N], and the range of the exact prefix sums."""

    acc: NDArray[np.int64]
    events: NDArray[np.int64]
    prefixes: tuple[int, int]

    @property
    def clamped(self) -> int:
        """Number of outputs with an event."""
        return int(np.count_nonzero(self.events))


def bounded(total: NDArray[np.int64], bits: int, overflow: str) -> NDArray[np.int64]:
    """Each total as a register of some bits holds it."""
    half = 1 << (bits - 1)
    if overflow == "wrap":
        return (total + half) % (2 * half) - half
    return np.clip(total, -half, half - 1)


def run(a: NDArray[np.int64], b: NDArray[np.int64], accumulator: pq.Accumulator) -> Expected:
    """Result, events per output, and the range of the exact prefix sums; for aligned operands and no deferral."""
    order, overflow, own = accumulator.order, str(accumulator.overflow), str(accumulator.inner_overflow)
    shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
    register, exact, events = (np.zeros(shape, np.int64) for _ in range(3))
    low = high = 0

    def add(before: NDArray[np.int64], term: NDArray[np.int64], bits: int, overflow: str) -> NDArray[np.int64]:
        nonlocal events
        after = bounded(before + term, bits, overflow)
        events = events + (after != before + term)
        return after

    for start in range(0, a.shape[-1], order.group):
        inner = np.zeros(shape, np.int64)
        for k in range(start, min(start + order.group, a.shape[-1])):
            product = a[..., k, None] * b[..., k, None, :]
            inner = add(inner, product, order.inner_bits, own) if isinstance(order, pq.Split) else inner + product
            exact += product
        register = add(register, inner, accumulator.bits, overflow)
        low, high = min(low, int(exact.min())), max(high, int(exact.max()))
    return Expected(register, events, (low, high))


def run_in_blocks(a: NDArray[np.int64], b: NDArray[np.int64], accumulator: pq.Accumulator) -> Expected:
    """The same as `run` for [B, M, K] and [B, K, N], a few rows at a time, which is several times as fast."""
    rows = max(1, _BLOCK // b.shape[-1])
    parts = [
        run(a[index, start : start + rows], b[index], accumulator)
        for index in range(len(a))
        for start in range(0, a.shape[1], rows)
    ]
    shape = (*a.shape[:-1], b.shape[-1])
    acc, events = (np.concatenate([part[i] for part in parts]).reshape(shape) for i in range(2))
    return Expected(acc, events, (min(part.prefixes[0] for part in parts), max(part.prefixes[1] for part in parts)))


def product(a: NDArray[np.int64], b: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """The exact product in NumPy's integers, reduced at the end to `bits` bits in two's complement."""
    return bounded(np.matmul(a, b), bits, "wrap")
