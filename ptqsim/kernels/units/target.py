"""Exact quotients to codes of an output format; `ptqsim.units.target` has the constants."""

from __future__ import annotations

from typing import Any

from ptqsim.kernels.runtime.jit import jit

UNIFORM, TWIN_SOFTMAX, TWIN_SOFTMAX_NEAREST, TWIN_GELU, LOG2 = range(5)


@jit
def root_of_two(divisor: int) -> int:
    """Floor of sqrt(2) * divisor, for a positive divisor below 2**31."""
    square = 2 * divisor * divisor
    root = 2 * divisor
    while True:
        following = (root + square // root) >> 1
        if following >= root:
            return root
        root = following


@jit
def power_of(n: int, d: int, root: int, last: int) -> int:
    """The Log2 code of n / d: `root` is the floor of sqrt(2) * d, and `last` the code of zero."""
    if n <= 0:
        return last
    exponent = 0
    while n < d and exponent <= last:
        n <<= 1
        exponent += 1
    if n > root:
        exponent -= 1
    return min(max(exponent, 0), last)


@jit
def code_by_shift(n: int, shift: int, constants: Any) -> Any:
    """The code of n / 2**shift of a twin format; shift is not negative."""
    kind, bits, m, down = constants[0], constants[4], constants[5], constants[6]
    flag = 1 << (bits - 1)
    top = flag - 1
    if kind == TWIN_GELU:
        if n < 0:
            magnitude = -((n + ((1 << shift) >> 1)) >> shift)
            return min(magnitude, top)
        wide = shift + m
        half = (1 << wide) >> 1
        magnitude = min((n + half - (down if half else 0)) >> wide, top)
        return magnitude | flag if magnitude else 0
    n = max(n, 0)
    wide = shift + m
    half, half_of_wide = (1 << shift) >> 1, (1 << wide) >> 1
    if kind == TWIN_SOFTMAX:
        if n >> shift >= flag:
            magnitude = min((n + half_of_wide) >> wide, top)
            return magnitude | flag if magnitude > top >> m else magnitude
        return min((n + half) >> shift, top)
    first = min((n + half - (1 if half else 0)) >> shift, top)
    second = min((n + half_of_wide - (1 if half_of_wide else 0)) >> wide, top)
    return second | flag if abs(n - (second << wide)) < abs(n - (first << shift)) else first


@jit
def encode_by_shift(n: Any, shifts: Any, constants: Any, codes: Any) -> None:
    """Codes of n[j] / 2**shifts[j], for a row; the numerators are overwritten."""
    kind, low, high, zero, bits = constants[0], constants[1], constants[2], constants[3], constants[4]
    for j in range(len(n)):
        if shifts[j] < 0:
            n[j] <<= -shifts[j]
    if kind == UNIFORM:
        mask = (1 << bits) - 1
        for j in range(len(n)):
            shift = max(shifts[j], 0)
            rounded = (n[j] + ((1 << shift) >> 1)) >> shift
            codes[j] = (min(max(rounded, low), high) + zero) & mask
    elif kind == LOG2:
        for j in range(len(n)):
            divisor = 1 << max(shifts[j], 0)
            codes[j] = power_of(n[j], divisor, root_of_two(divisor), (1 << bits) - 1)
    else:
        for j in range(len(n)):
            codes[j] = code_by_shift(n[j], max(shifts[j], 0), constants)


@jit
def code_by_quotient(n: int, d: int, constants: Any) -> Any:
    """The code of n / d of a twin format."""
    kind, bits, m, down = constants[0], constants[4], constants[5], constants[6]
    flag = 1 << (bits - 1)
    top = flag - 1
    wide = d << m
    if kind == TWIN_GELU:
        if n < 0:
            return min(-((2 * n + d) // (2 * d)), top)
        magnitude = min((2 * n + wide - down) // (2 * wide), top)
        return magnitude | flag if magnitude else 0
    n = max(n, 0)
    if kind == TWIN_SOFTMAX:
        if n >= d << (bits - 1):
            magnitude = min((2 * n + wide) // (2 * wide), top)
            return magnitude | flag if magnitude > top >> m else magnitude
        return min((2 * n + d) // (2 * d), top)
    first = min((2 * n + d - 1) // (2 * d), top)
    second = min((2 * n + wide - 1) // (2 * wide), top)
    return second | flag if abs(n - second * wide) < abs(n - first * d) else first


@jit
def encode_by_quotient(n: Any, d: int, constants: Any, codes: Any) -> None:
    """Codes of n[j] / d, for a row."""
    kind, low, high, zero, bits = constants[0], constants[1], constants[2], constants[3], constants[4]
    if kind == UNIFORM:
        mask = (1 << bits) - 1
        for j in range(len(n)):
            rounded = (2 * n[j] + d) // (2 * d)
            codes[j] = (min(max(rounded, low), high) + zero) & mask
    elif kind == LOG2:
        root = root_of_two(d)
        for j in range(len(n)):
            codes[j] = power_of(n[j], d, root, (1 << bits) - 1)
    else:
        for j in range(len(n)):
            codes[j] = code_by_quotient(n[j], d, constants)
