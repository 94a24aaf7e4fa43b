"""Softmax over rows of scores with the exponentials of I-ViT, I-BERT and ITA."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels.runtime.jit import jit
from ptqsim.kernels.runtime.team import shared
from ptqsim.kernels.units.softmax import divide, greatest


@jit
def shift_exp(score: int, inverse_step: int, shift: int) -> int:
    """exp of a score as I-ViT shifts and adds it."""
    magnified = max(score + (score >> 1) - (score >> 4), -shift * inverse_step)
    whole = -magnified // inverse_step
    rest = -magnified - whole * inverse_step
    return (inverse_step + (-rest >> 1)) << (shift - whole)


@jit
def shiftmax(
    start: int,
    stop: int,
    team: int,
    scores: Any,
    inverse_step: int,
    shift: int,
    division: Any,
    constants: Any,
    codes: Any,
) -> int:
    """Codes of the softmax of scores [R, n] by I-ViT."""
    start = shared(start, stop, team)
    n = scores.shape[1]
    exponentials = np.empty(n, np.int64)
    for row in range(start, stop):
        values = scores[row]
        peak, total = greatest(values), 0
        for j in range(n):
            exponentials[j] = shift_exp(values[j] - peak, inverse_step, shift)
            total += exponentials[j]
        divide(exponentials, total, division, constants, codes[row])
    return 0


@jit
def i_exp(
    start: int,
    stop: int,
    team: int,
    scores: Any,
    ln2: int,
    vertex: int,
    constant: int,
    most: int,
    division: Any,
    constants: Any,
    codes: Any,
) -> int:
    """Codes of the softmax of scores [R, n] by I-BERT."""
    start = shared(start, stop, team)
    n = scores.shape[1]
    exponentials = np.empty(n, np.int64)
    for row in range(start, stop):
        values = scores[row]
        peak, total = greatest(values), 0
        for j in range(n):
            distance = min(peak - values[j], most * ln2)
            whole = distance // ln2
            base = whole * ln2 - distance + vertex
            exponentials[j] = (base * base + constant) >> whole
            total += exponentials[j]
        divide(exponentials, total, division, constants, codes[row])
    return 0


@jit
def halvings(distance: int, mantissa: int, shift: int, most: int) -> int:
    """The distance times the multiplier, rounded, and at most so many."""
    right = max(shift, 0)
    return min((((distance * mantissa) << max(-shift, 0)) + ((1 << right) >> 1)) >> right, most)


@jit
def ita(
    start: int,
    stop: int,
    team: int,
    scores: Any,
    mantissa: int,
    shift: int,
    amplitude_bits: int,
    part: int,
    division: Any,
    constants: Any,
    codes: Any,
) -> int:
    """Codes of the softmax of scores [R, n] by ITA, summed in parts."""
    start = shared(start, stop, team)
    n = scores.shape[1]
    exponentials = np.empty(n, np.int64)
    one, most = 1 << amplitude_bits, amplitude_bits + 1
    size = part if part else n
    for row in range(start, stop):
        values = scores[row]
        peak, total = greatest(values[:size]), 0
        for first in range(0, n, size):
            greater = max(peak, greatest(values[first : first + size]))
            total >>= halvings(greater - peak, mantissa, shift, 62)
            peak = greater
            for j in range(first, min(first + size, n)):
                total += one >> halvings(peak - values[j], mantissa, shift, most)
        for j in range(n):
            exponentials[j] = one >> halvings(peak - values[j], mantissa, shift, most)
        divide(exponentials, total, division, constants, codes[row])
    return 0
