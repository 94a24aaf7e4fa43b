"""Softmax over rows of scores: base 2 with a table, and the division that every formulation ends with."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels.runtime.jit import jit
from ptqsim.kernels.runtime.team import shared
from ptqsim.kernels.units.target import encode_by_quotient, encode_by_shift


@jit
def greatest(row: Any) -> Any:
    """The greatest of the integers of a row."""
    peak = row[0]
    for j in range(1, len(row)):
        peak = max(peak, row[j])
    return peak


@jit
def divide(exponentials: Any, total: int, division: Any, constants: Any, codes: Any) -> None:
    """Codes of exponentials / total, for a row; the exponentials are overwritten."""
    exact, bits, mantissa, shift = division[0], division[1], division[2], division[3]
    if exact:
        left = max(-shift, 0)
        for j in range(len(exponentials)):
            exponentials[j] = (exponentials[j] * mantissa) << left
        encode_by_quotient(exponentials, total << max(shift, 0), constants, codes)
    else:
        reciprocal = (1 << bits) // total
        for j in range(len(exponentials)):
            exponentials[j] = exponentials[j] * reciprocal * mantissa
        shifts = np.empty(len(exponentials), np.int64)
        shifts[:] = bits + shift
        encode_by_shift(exponentials, shifts, constants, codes)


@jit
def base_two(
    start: int,
    stop: int,
    team: int,
    scores: Any,
    mantissa: int,
    shift: int,
    last: int,
    fraction: int,
    table: Any,
    division: Any,
    constants: Any,
    codes: Any,
) -> int:
    """Codes of the softmax of scores [R, n], with exponentials table[t mod F] / 2**(t // F)."""
    start = shared(start, stop, team)
    n = scores.shape[1]
    exponentials = np.empty(n, np.int64)
    left, right = max(-shift, 0), max(shift, 0)
    half, mask = (1 << right) >> 1, (1 << fraction) - 1
    for row in range(start, stop):
        values = scores[row]
        peak, total = greatest(values), 0
        for j in range(n):
            position = ((((peak - values[j]) * mantissa) << left) + half) >> right
            exponential = 0
            if position < last:
                whole = position >> fraction
                exponential = (table[position & mask] + ((1 << whole) >> 1)) >> whole
            exponentials[j] = exponential
            total += exponential
        divide(exponentials, total, division, constants, codes[row])
    return 0
