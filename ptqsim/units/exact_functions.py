"""Real functions to 40 digits in decimal arithmetic, so that a table of codes is the same on every machine.

The libraries of C differ in the last bit of exp and erf; `decimal` is specified to round every operation correctly.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from functools import wraps
from typing import Final

DIGITS: Final = 60
"""Digits of every operation; sums of a few hundred terms keep 40."""

_FAR: Final = 15
"""Beyond it, exp(-x**2) is below 1e-97, and erf is 1 to more digits than there are."""

_PI: Final = "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899"

Real = Callable[[Fraction], Fraction]


def _in_decimal(function: Callable[[Decimal], Decimal]) -> Real:
    @wraps(function)
    def of_fraction(x: Fraction) -> Fraction:
        with localcontext(Context(prec=DIGITS)):
            return Fraction(function(Decimal(x.numerator) / Decimal(x.denominator)))

    return of_fraction


def _erf(x: Decimal) -> Decimal:
    """The series of positive terms, 2 / sqrt(pi) exp(-x**2) sum of 2**n x**(2 n + 1) / (2 n + 1)!!."""
    if abs(x) > _FAR:
        return Decimal(1).copy_sign(x)
    term, total, n = x, x, 0
    while abs(term) > Decimal(10) ** -DIGITS:
        n += 1
        term = term * 2 * x * x / (2 * n + 1)
        total += term
    return 2 / Decimal(_PI).sqrt() * (-x * x).exp() * total


def _sigmoid(x: Decimal) -> Decimal:
    tail = (-abs(x)).exp()
    return tail / (1 + tail) if x < 0 else 1 / (1 + tail)


@_in_decimal
def gelu(x: Decimal) -> Decimal:
    """x Phi(x), the GELU without approximation (Hendrycks and Gimpel, 2016, section 2)."""
    return x * (1 + _erf(x / Decimal(2).sqrt())) / 2


@_in_decimal
def silu(x: Decimal) -> Decimal:
    """x sigmoid(x) (Hendrycks and Gimpel, 2016, section 2)."""
    return x * _sigmoid(x)


@_in_decimal
def quick_gelu(x: Decimal) -> Decimal:
    """x sigmoid(1.702 x) (Hendrycks and Gimpel, 2016, section 2)."""
    return x * _sigmoid(Decimal("1.702") * x)


def relu(x: Fraction) -> Fraction:
    """The greater of x and zero."""
    return max(x, Fraction(0))


@_in_decimal
def log2_e(x: Decimal) -> Decimal:
    """x log2(e): the exponent of 2 that is exp(x)."""
    return x / Decimal(2).ln()


def power_of_two(numerator: int, denominator: int, amplitude: int) -> int:
    """``amplitude * 2**(-numerator / denominator)``, to the nearest integer by integer comparison.

    The power is irrational or an integer number of halvings; a half goes up.
    """
    # q is the greatest integer with q - 1/2 <= value, that is (2 q - 1)**D 2**N <= (2 A)**D.
    limit = (2 * amplitude) ** denominator
    low, high = 0, amplitude + 1  # low satisfies it, high does not
    while high - low > 1:
        q = (low + high) // 2
        if (2 * q - 1) ** denominator << numerator <= limit:
            low = q
        else:
            high = q
    return low
