"""The outputs of single channels of a weight: their codes, sums of their errors, and what a race decides by.

A row of `x` is the output of one channel with one candidate scale; `channel` says which channel, and so which row of
what is the same for all candidates. Terms and sums are float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels.runtime.environment import in_default_environment
from ptqsim.kernels.runtime.jit import jit, jit_sums


@in_default_environment
@jit
def encode(weight: Any, channel: Any, scale: Any, low: Any, high: Any, mask: Any, out: Any) -> int:
    """Two's complement of round(w / scale), half to even, clamped to [low, high], in the bits of `mask`.

    `weight` [N, K] and `scale` [P] are float32, `out` [P, K] uint8.
    """
    for p in range(len(channel)):
        values, codes, step = weight[channel[p]], out[p], scale[p]
        for k in range(len(values)):
            codes[k] = np.int32(min(max(np.rint(values[k] / step), low), high)) & mask
    return 0


@in_default_environment
@jit_sums
def squares(x: Any, channel: Any, y: Any, z: Any, out: Any, total: Any) -> int:
    """((x - y) z)^2 of every element into `out` [P, n], and the sum of each row into `total` [P].

    `x` [P, n]; `y` and `z` [N, n] by channel; without rows in `z` it is 1.
    """
    weighted = z.shape[0] > 0
    for p in range(len(channel)):
        xs, ys, terms = x[p], y[channel[p]], out[p]
        added = 0.0
        if weighted:
            zs = z[channel[p]]
            for i in range(len(xs)):
                d = (np.float64(xs[i]) - np.float64(ys[i])) * np.float64(zs[i])
                terms[i] = d * d
                added += d * d
        else:
            for i in range(len(xs)):
                d = np.float64(xs[i]) - np.float64(ys[i])
                terms[i] = d * d
                added += d * d
        total[p] = added
    return 0


@in_default_environment
@jit_sums
def moments(x: Any, channel: Any, y: Any, z: Any, length: int, out: Any) -> int:
    """Sums of d, d^2 and d z over every `length` elements of each row, d being x - y, into `out` [3, P, units].

    `x` [P, n]; `y` and `z` [N, n] by channel; without rows in `y` d is x.
    """
    difference = y.shape[0] > 0
    for p in range(len(channel)):
        for unit in range(out.shape[2]):
            start = unit * length
            xs, zs = x[p, start : start + length], z[channel[p], start : start + length]
            total, square, product = 0.0, 0.0, 0.0
            if difference:
                ys = y[channel[p], start : start + length]
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
            out[0, p, unit], out[1, p, unit], out[2, p, unit] = total, square, product
    return 0


@in_default_environment
@jit_sums
def behind(samples: Any, leader: Any, sure: float, out: Any) -> int:
    """By how much each row is surely behind its leader, as a share of the leader's sum, into `out` [P].

    `samples` [P, n]; `leader` [P] is the row that leads the same channel. The standard error is that of a ratio of sums
    (Cochran, Sampling Techniques, section 6.4), and `sure` times it is taken off. 0 where the leader's sum is not
    positive.
    """
    count = samples.shape[1]
    for p in range(len(leader)):
        own, other = samples[p], samples[leader[p]]
        difference, whole = 0.0, 0.0
        for i in range(count):
            difference += own[i] - other[i]
            whole += other[i]
        if whole > 0:
            share, error = difference / whole, 0.0
            for i in range(count):
                rest = own[i] - other[i] - share * other[i]
                error += rest * rest
            out[p] = share - sure * np.sqrt(error * count / (count - 1)) / whole
        else:
            out[p] = 0.0
    return 0
