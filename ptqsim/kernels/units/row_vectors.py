"""LayerNorm and softmax in loops that become vector code; rows and constants are those of `vectors`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels.runtime.jit import jit
from ptqsim.kernels.runtime.team import shared
from ptqsim.kernels.units.layer_norm import reciprocal_root
from ptqsim.kernels.units.vectors import begin, head


@jit
def layer_norm(
    start: int, stop: int, team: int, shape: Any, places: Any, x: Any, gain: Any, addend: Any, limits: Any, root: Any,
    codes: Any,
) -> int:  # fmt: skip
    """Uniform codes of (normalized * gain + addend) >> shift; the limits are those of `vectors.rescale`.

    `root` [G, 3] has epsilon, and the precision and the fraction of the normalized value.
    """
    start = shared(start, stop, team)
    n = gain.shape[1]
    flip, less = places[0, 4], places[0, 5]
    line = np.empty(n, np.int32)
    for row in range(start, stop):
        g = head(row, shape) if len(limits) > 1 else 0
        first, at = begin(row, shape, places[0]), begin(row, shape, places[1])
        values, out, factor, more = x[first : first + n], codes[at : at + n], gain[g], addend[g]
        shift, low, high, zero, mask = limits[g, 0], limits[g, 1], limits[g, 2], limits[g, 3], limits[g, 4]
        total, squares = np.int64(0), np.int64(0)
        for j in range(n):
            value = (np.int64(values[j]) ^ flip) - less
            line[j] = value
            total += value
            squares += value * value
        variance = max(n * squares - total * total + root[g, 0], 1)
        reciprocal, right = reciprocal_root(variance, root[g, 1], root[g, 2])
        left, right = max(-right, 0), max(right, 0)
        half = (1 << right) >> 1
        for j in range(n):
            weighted = (n * np.int64(line[j]) - total) * reciprocal
            normalized = ((weighted << left) + half) >> right
            rounded = (normalized * factor[j] + more[j]) >> shift
            out[j] = (min(max(rounded, low), high) + zero) & mask
    return 0


@jit
def softmax(
    start: int, stop: int, team: int, shape: Any, places: Any, scores: Any, positions: Any, table: Any, limits: Any,
    quotient: Any, codes: Any,
) -> int:  # fmt: skip
    """Codes of e / E, where e is the entry of a table at -log2 of the exponential.

    `positions` [G, 4] are mantissa, half, shift and the greatest position; `quotient` [G, 7] the gain of the numerator,
    the shift of E, the bits of the reciprocal, 1 for a twin format, k - 1, m, and the number of scores in a row. The
    limits are those of `vectors.rescale`, of which a twin format has none. A quotient q = floor(a / b) is found from
    floor(2**bits / b), with a < 2**bits, which makes it q or q - 1, and compared with a.
    """
    start = shared(start, stop, team)
    n = quotient[0, 6]
    flip, less = places[0, 4], places[0, 5]
    exponentials, position = np.empty(n, np.int32), np.empty(n, np.int32)
    for row in range(start, stop):
        g = head(row, shape) if len(limits) > 1 else 0
        first, at = begin(row, shape, places[0]), begin(row, shape, places[1])
        values, out, entries = scores[first : first + n], codes[at : at + n], table[g]
        mantissa, half, right, last = positions[g, 0], positions[g, 1], positions[g, 2], positions[g, 3]
        low, high, zero, mask = limits[g, 1], limits[g, 2], limits[g, 3], limits[g, 4]
        gain, up, bits, twin, half_bits, m = (
            2 * quotient[g, 0], quotient[g, 1], quotient[g, 2], quotient[g, 3], quotient[g, 4], quotient[g, 5]
        )  # fmt: skip
        for j in range(n):
            position[j] = (np.int64(values[j]) ^ flip) - less
        peak = position[0]
        for j in range(n):
            peak = max(peak, position[j])
        greatest = np.int64(peak)
        for j in range(n):
            unbounded = ((greatest - np.int64(position[j])) * mantissa + half) >> right
            position[j] = min(unbounded, last)
        total = np.int64(0)
        for j in range(n):
            exponential = entries[position[j]]
            exponentials[j] = exponential
            total += exponential
        divisor = total << up
        double = 2 * divisor
        reciprocal = (1 << bits) // double
        if twin:
            second, wide, flag = double << half_bits, divisor << m, 1 << half_bits
            top = flag - 1
            shared_top = top >> m
            for j in range(n):
                numerator = np.int64(exponentials[j]) * gain
                far = numerator >= second
                numerator += wide if far else divisor
                found = (numerator * reciprocal) >> bits
                found += 1 if numerator - found * double >= double else 0
                found = min(found >> (m if far else 0), top)
                out[j] = found | flag if far and found > shared_top else found
        else:
            for j in range(n):
                numerator = np.int64(exponentials[j]) * gain + divisor
                found = (numerator * reciprocal) >> bits
                found += 1 if numerator - found * double >= double else 0
                out[j] = (min(max(found, low), high) + zero) & mask
    return 0
