"""Sums over the outputs of a product, which the objectives of a search are made of, in one pass over memory.

Terms and sums are float64: what their order changes is far below the difference of two candidates.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels.runtime.jit import jit_sums
from ptqsim.kernels.runtime.team import shared


@jit_sums
def moments(start: int, stop: int, team: int, x: Any, y: Any, z: Any, out: Any) -> int:
    """Sums of d, d^2 and d z over each of the rows [start, stop), d being x - y, into `out` [3, R] of float64.

    `x`, `y` and `z` are float32 [R, n]; without rows in `y` d is x.
    """
    start = shared(start, stop, team)
    difference = y.shape[0] > 0
    for r in range(start, stop):
        xs, zs = x[r], z[r]
        total, square, product = 0.0, 0.0, 0.0
        if difference:
            ys = y[r]
            for i in range(len(xs)):
                d = np.float64(xs[i]) - np.float64(ys[i])
                total += d
                square += d * d
                product += d * np.float64(zs[i])
        else:
            for i in range(len(xs)):
                d = np.float64(xs[i])
                total += d
                square += d * d
                product += d * np.float64(zs[i])
        out[0, r], out[1, r], out[2, r] = total, square, product
    return 0


@jit_sums
def weighted_squares(start: int, stop: int, team: int, x: Any, y: Any, z: Any, out: Any) -> int:
    """Sums of ((x - y) z)^2 over each of the rows [start, stop), into `out` [1, R] of float64; the rest as above."""
    start = shared(start, stop, team)
    for r in range(start, stop):
        xs, ys, zs = x[r], y[r], z[r]
        total = 0.0
        for i in range(len(xs)):
            d = (np.float64(xs[i]) - np.float64(ys[i])) * np.float64(zs[i])
            total += d * d
        out[0, r] = total
    return 0
