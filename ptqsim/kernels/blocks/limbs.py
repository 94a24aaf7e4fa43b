"""Integers of two words, as the sums of blocks of wide elements need: hi * 2**32 + lo, with 0 <= lo < 2**32.

`hi` is an int64 within 2**58 in magnitude, so a value has 90 bits at most.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ptqsim.kernels.runtime.jit import jit

_MASK = (1 << 32) - 1
_INT64_MAX = (1 << 63) - 1
_FARTHEST = 96  # a right shift by so much leaves nothing but the sign
_FLOAT64_BITS, _FLOAT32_BITS = 53, 24
_LEAST_EXPONENT, _GREATEST_EXPONENT = -149, 127  # of float32: the least bit of all, and the greatest


@jit
def plus(hi: Any, lo: Any, value: Any, shift: Any) -> tuple[Any, Any]:
    """The sum with an int64 times 2**shift, for shifts of up to 32."""
    lo += (value & ((1 << (32 - shift)) - 1)) << shift
    return hi + (value >> (32 - shift)) + (lo >> 32), lo & _MASK


@jit
def times(hi: Any, lo: Any, factor: Any) -> tuple[Any, Any]:
    """The product with a factor of up to 8 bits."""
    lo *= factor
    return hi * factor + (lo >> 32), lo & _MASK


@jit
def magnitude(hi: Any, lo: Any) -> tuple[Any, Any]:
    """The magnitude of a value."""
    if hi >= 0:
        return hi, lo
    return -hi - (1 if lo else 0), -lo & _MASK


@jit
def rounded(hi: Any, lo: Any, shift: Any, half_even: Any) -> tuple[Any, Any]:
    """The value times 2**shift as an integer: its low 64 bits, and its sign if it is beyond int64, else 0.

    Bits below 1 are dropped, which rounds toward negative infinity, or rounded half to even.
    """
    sign = -1 if hi < 0 else 1
    if hi == 0 and lo == 0:
        return 0, 0
    if shift >= 0:
        if shift > 63:
            return 0, sign
        word = (hi << 32) | lo
        moved = word << shift
        fits = -(1 << 31) <= hi < 1 << 31 and moved >> shift == word
        return moved, 0 if fits else sign
    drop = -shift
    if drop >= _FARTHEST:
        return 0 if half_even or hi >= 0 else -1, 0
    beyond, limit = 0, 1 << min(31 + drop, 62)  # hi is within 2**58
    # Beside one half, what is dropped is above (1), equal (0) or below (-1).
    if drop > 32:
        of_hi = drop - 32
        quotient = hi >> of_hi
        rest, middle = hi - (quotient << of_hi), 1 << (of_hi - 1)
        beside = 1 if rest > middle or (rest == middle and lo) else 0 if rest == middle else -1
    else:
        quotient = (hi << (32 - drop)) + (lo >> drop)
        if not -limit <= hi < limit:
            beyond = sign
        rest, middle = lo & ((1 << drop) - 1), 1 << (drop - 1)
        beside = 1 if rest > middle else 0 if rest == middle else -1
    if half_even and (beside > 0 or (beside == 0 and quotient & 1)):
        if quotient == _INT64_MAX and beyond == 0:
            beyond = 1
        elif quotient == _INT64_MAX and drop <= 32 and hi == -limit - 1:
            beyond = 0  # from one less than the least int64
        quotient += 1
    return quotient, beyond


@jit
def length(hi: Any, lo: Any) -> Any:
    """Number of bits of a magnitude."""
    top = hi if hi else lo
    if top == 0:
        return 0
    bits = math.frexp(np.float64(top))[1]
    bits -= 1 if top >> (bits - 1) == 0 else 0  # the float was rounded up to the next power of two
    return bits + 32 if hi else bits


@jit
def cut(hi: Any, lo: Any, shift: Any) -> tuple[Any, Any]:
    """A magnitude times 2**shift, without its fraction; the caller knows that it stays within two words."""
    if shift >= 32:
        return (hi << shift) + (lo << (shift - 32)), 0
    if shift >= 0:
        return (hi << shift) | (lo >> (32 - shift)), (lo << shift) & _MASK
    drop = -shift
    if drop >= _FARTHEST:
        return 0, 0
    if drop >= 32:
        word = hi >> (drop - 32)
        return word >> 32, word & _MASK
    return hi >> drop, ((hi << (32 - drop)) | (lo >> drop)) & _MASK


@jit
def nearest_float32(hi: Any, lo: Any, exponent: Any) -> Any:
    """The float32 nearest to the value times 2**exponent, half to even; infinite from 2**128 - 2**103 on."""
    high, low = magnitude(hi, lo)
    drop = max(length(high, low) - _FLOAT64_BITS, 0)
    kept_hi, kept_lo = cut(high, low, -drop)
    back_hi, back_lo = cut(kept_hi, kept_lo, drop)
    kept = (kept_hi << 32) | kept_lo
    # A float32 has less than half of these bits, so the last one says enough of what was dropped.
    if back_hi != high or back_lo != low:
        kept |= 1
    value = np.float32(math.ldexp(np.float64(kept), int(exponent + drop)))
    return -value if hi < 0 else value


@jit
def float32_toward_zero(hi: Any, lo: Any, exponent: Any) -> Any:
    """The float32 next to the value times 2**exponent on the side of zero, never infinite."""
    high, low = magnitude(hi, lo)
    bits = length(high, low)
    if bits == 0:
        return np.float32(0.0)
    if bits - 1 + exponent > _GREATEST_EXPONENT:
        largest = np.float32(math.ldexp(np.float64((1 << _FLOAT32_BITS) - 1), 128 - _FLOAT32_BITS))
        return -largest if hi < 0 else largest
    drop = max(bits - _FLOAT32_BITS, _LEAST_EXPONENT - exponent, 0)
    kept_hi, kept_lo = cut(high, low, -drop)
    kept = (kept_hi << 32) | kept_lo
    if kept == 0:
        return np.float32(0.0)
    value = np.float32(math.ldexp(np.float64(kept), int(exponent + drop)))
    return -value if hi < 0 else value
