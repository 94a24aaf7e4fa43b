"""Datapaths in NumPy for tests of whole matrices: all products at once, then one addition at a time, in int64."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import ptqsim as pq


class Outcome(NamedTuple):
    """Registers and overflow events [..., M, N], and the lowest and highest exact sum after a group, 0 among them."""

    acc: NDArray[np.int64]
    events: NDArray[np.int64]
    prefixes: tuple[int, int]


def bounded(total: NDArray[np.int64], bits: int, overflow: str) -> NDArray[np.int64]:
    """Each total as a register of `bits` bits keeps it."""
    if overflow == "saturate":
        return np.minimum(np.maximum(total, -(1 << (bits - 1))), (1 << (bits - 1)) - 1)
    low_bits = total & ((1 << bits) - 1)
    return low_bits - ((low_bits >> (bits - 1)) << bits)  # the highest bit that is kept counts negative


def run(a: NDArray[np.int64], b: NDArray[np.int64], accumulator: pq.Accumulator) -> Outcome:
    """Run a product [..., M, K] @ [..., K, N] of aligned operands; the alignment is not deferred."""
    products = a[..., :, :, None] * b[..., None, :, :]  # [..., M, K, N]
    depth = np.moveaxis(products, -2, 0)
    register, events, exact = (np.zeros(depth.shape[1:], np.int64) for _ in range(3))
    low = high = 0
    order, overflow = accumulator.order, str(accumulator.overflow)
    for start in range(0, len(depth), order.group):
        group = depth[start : start + order.group]
        term = group.sum(axis=0)
        exact += term
        low, high = min(low, int(exact.min(initial=0))), max(high, int(exact.max(initial=0)))
        if isinstance(order, pq.Split):
            term = np.zeros_like(register)
            for product in group:
                total = term + product
                term = bounded(total, order.inner_bits, str(accumulator.inner_overflow))
                events += term != total
        total = register + term
        register = bounded(total, accumulator.bits, overflow)
        events += register != total
    return Outcome(register, events, (low, high))
