"""LayerNorm over rows of integers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels.runtime.jit import jit
from ptqsim.kernels.runtime.team import shared
from ptqsim.kernels.units.target import encode_by_shift


@jit
def floor_root(radicand: int, start: int) -> int:
    """Floor of the square root of a positive integer, from a start that is not below the root."""
    root = start
    while True:
        following = (root + radicand // root) >> 1
        if following >= root:
            return root
        root = following


@jit
def bit_length(value: int) -> int:
    """Bits of a positive integer."""
    bits = 0
    while value >> bits:
        bits += 1
    return bits


@jit
def reciprocal_root(variance: int, precision: int, fraction: int) -> tuple[int, int]:
    """The reciprocal root of a positive integer, and how far its products with integers are shifted to the right."""
    spare = 2 * precision - bit_length(variance)
    exponent = spare - spare % 2
    radicand = variance << exponent if exponent >= 0 else variance >> -exponent
    reciprocal = (1 << (2 * precision - 1)) // floor_root(radicand, 1 << precision)
    return reciprocal, 2 * precision - 1 - exponent // 2 - fraction


@jit
def layer_norm(
    start: int,
    stop: int,
    team: int,
    x: Any,
    gain: Any,
    offset: Any,
    shifts: Any,
    epsilon: int,
    precision: int,
    fraction: int,
    constants: Any,
    codes: Any,
) -> int:
    """Codes of ((x - mean) / deviation * gain + offset) / 2**shift; x is [R, n], the constants are [n]."""
    start = shared(start, stop, team)
    n = x.shape[1]
    scaled = np.empty(n, np.int64)
    for row in range(start, stop):
        values = x[row]
        total, squares = 0, 0
        for j in range(n):
            value = values[j]
            total += value
            squares += value * value
        variance = max(n * squares - total * total + epsilon, 1)
        reciprocal, shift = reciprocal_root(variance, precision, fraction)
        left, right = max(-shift, 0), max(shift, 0)
        half = (1 << right) >> 1
        for j in range(n):
            weighted = (n * values[j] - total) * reciprocal
            scaled[j] = (((weighted << left) + half) >> right) * gain[j] + offset[j]
        encode_by_shift(scaled, shifts, constants, codes[row])
    return 0
