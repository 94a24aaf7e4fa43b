"""Codes of logarithmic formats in Python integers."""

from __future__ import annotations

from ptqsim.formats.log2 import Log2


def log2_aligned(code: int, number_format: Log2) -> int:
    """The integer that a code stands for, in units of the format's finest grid."""
    root, bits = number_format.root, number_format.fraction_bits
    last = (1 << number_format.bits) - 1
    if code == last:
        return 0
    shift, remainder = divmod(code, root)
    greatest = (last - 1) // root
    # round(2**bits * 2**(-remainder / root)): the largest integer n with n - 1/2 at most that, raised to the power root
    fraction = 1 << bits
    while (2 * fraction - 1) ** root > 1 << ((bits + 1) * root - remainder):
        fraction -= 1
    return fraction << (greatest - shift)
