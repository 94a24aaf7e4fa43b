"""Softmax over rows of scores in one pass, with a running maximum that is a whole power of 2."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels.runtime.jit import jit
from ptqsim.kernels.runtime.team import shared
from ptqsim.kernels.units.softmax import divide


@jit
def halved(value: int, halvings: int) -> int:
    """The value halved so often, a half rounded up."""
    return (value + ((1 << halvings) >> 1)) >> halvings


@jit
def running(
    start: int,
    stop: int,
    team: int,
    scores: Any,
    mantissa: int,
    shift: int,
    fraction: int,
    most: int,
    part: int,
    table: Any,
    division: Any,
    constants: Any,
    codes: Any,
) -> int:
    """Codes of the softmax of scores [R, n], summed in parts."""
    start = shared(start, stop, team)
    n = scores.shape[1]
    powers, rests, exponentials = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    right, left = max(shift, 0), max(-shift, 0)
    size = part if part else n
    for row in range(start, stop):
        values = scores[row]
        for j in range(n):
            position = halved((values[j] * mantissa) << left, right)
            powers[j] = -(-position >> fraction)
            rests[j] = (powers[j] << fraction) - position
        peak, total = powers[0], 0
        for first in range(0, n, size):
            last = min(first + size, n)
            greater = peak
            for j in range(first, last):
                greater = max(greater, powers[j])
            total = halved(total, min(greater - peak, 62))
            peak = greater
            for j in range(first, last):
                total += halved(table[rests[j]], min(peak - powers[j], most))
        for j in range(n):
            exponentials[j] = halved(table[rests[j]], min(peak - powers[j], most))
        divide(exponentials, total, division, constants, codes[row])
    return 0
