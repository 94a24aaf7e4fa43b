"""ShiftExp of I-ViT (Li and Gu, ICCV 2023, section 3.3, Algorithm 1) in Python integers."""

from __future__ import annotations

from typing import NamedTuple


class ShiftExp(NamedTuple):
    """exp(x) of a score and the values on the way to it."""

    magnified: int
    whole: int
    rest: int
    mantissa: int
    exponential: int


def shift_exp(score: int, inverse_step: int, shift: int) -> ShiftExp:
    """exp(score * S) in units of S / 2**N, with N = `shift` and 1 / S rounded to `inverse_step`.

    log2(e) is 1 + 1/2 - 1/16, and 2**-f is 1 - f / 2 for a fraction f of the exponent. Exponents end at -N.
    """
    magnified = max(score + (score >> 1) - (score >> 4), -shift * inverse_step)
    whole = -magnified // inverse_step  # the integer part of -log2, rounded down
    rest = -magnified - whole * inverse_step
    mantissa = inverse_step + (-rest >> 1)
    return ShiftExp(magnified, whole, rest, mantissa, mantissa << (shift - whole))
