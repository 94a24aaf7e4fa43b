"""Sums over the outputs of a product, which the objectives of a search are made of, in one pass over memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels._jit import jit_sums

# Elements whose sum is taken in float32 before it is added in float64.
_PIECE = 512


@jit_sums
def moments(start: int, stop: int, x: Any, y: Any, z: Any, out: Any) -> int:
    """Sums of d, d^2 and d z over each of the rows [start, stop), d being x - y, into `out` [3, R] of float64.

    `x`, `y` and `z` are float32 [R, n]; without rows in `y` d is x.
    """
    length, difference = x.shape[1], y.shape[0] > 0
    for r in range(start, stop):
        total, square, product = np.float64(0), np.float64(0), np.float64(0)
        for first in range(0, length, _PIECE):
            last = min(first + _PIECE, length)
            xs, zs = x[r, first:last], z[r, first:last]
            s, s2, sz = np.float32(0), np.float32(0), np.float32(0)
            if difference:
                ys = y[r, first:last]
                for i in range(len(xs)):
                    d = xs[i] - ys[i]
                    s += d
                    s2 += d * d
                    sz += d * zs[i]
            else:
                for i in range(len(xs)):
                    s += xs[i]
                    s2 += xs[i] * xs[i]
                    sz += xs[i] * zs[i]
            total += s
            square += s2
            product += sz
        out[0, r], out[1, r], out[2, r] = total, square, product
    return 0


@jit_sums
def weighted_squares(start: int, stop: int, x: Any, y: Any, z: Any, out: Any) -> int:
    """Sums of ((x - y) z)^2 over each of the rows [start, stop), into `out` [1, R] of float64; the rest as above."""
    length = x.shape[1]
    for r in range(start, stop):
        total = np.float64(0)
        for first in range(0, length, _PIECE):
            last = min(first + _PIECE, length)
            xs, ys, zs = x[r, first:last], y[r, first:last], z[r, first:last]
            s = np.float32(0)
            for i in range(len(xs)):
                d = (xs[i] - ys[i]) * zs[i]
                s += d * d
            total += s
        out[0, r] = total
    return 0
