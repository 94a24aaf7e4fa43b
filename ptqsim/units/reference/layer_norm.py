"""`LayerNorm` in Python integers."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import isqrt
from typing import TYPE_CHECKING, NamedTuple

from ptqsim.common.choice import Choice
from ptqsim.units.constants import spread
from ptqsim.units.interval import half_up
from ptqsim.units.reference import target

if TYPE_CHECKING:
    from ptqsim.units.layer_norm import LayerNorm
    from ptqsim.units.protocol import Trace


def trace(unit: LayerNorm, x: Sequence[int]) -> Trace:
    """Every value of one row."""
    n = len(x)
    total = sum(x)
    squares = sum(value * value for value in x)
    scaled_squares, squared_total = n * squares, total * total
    variance = max(1, scaled_squares - squared_total + unit.epsilon)  # N**2 times the variance, plus epsilon
    root = reciprocal_root(variance, unit.precision)
    shift = 2 * unit.precision - 1 - root.exponent // 2 - unit.fraction
    centered = [n * value - total for value in x]
    weighted = [d * root.reciprocal for d in centered]
    normalized = [half_up(w, shift) for w in weighted]  # (x - mean) / deviation, in units of 2**-fraction
    product = [z * g for z, g in zip(normalized, spread(unit.gain, n), strict=True)]
    scaled = [p + b for p, b in zip(product, spread(unit.offset, n), strict=True)]
    codes = [target.shifted(value, unit.fraction + unit.gain_fraction, unit.out_format) for value in scaled]
    iterates = {"iterate": newton_iterates(root.radicand, unit.precision)} if unit.root == RootMethod.NEWTON else {}
    return {
        "total": total,
        "squares": squares,
        "scaled_squares": scaled_squares,
        "squared_total": squared_total,
        "variance": variance,
        "exponent": root.exponent,
        "radicand": root.radicand,
        **iterates,
        "root": root.root,
        "reciprocal": root.reciprocal,
        "shift": shift,
        "centered": centered,
        "weighted": weighted,
        "normalized": normalized,
        "product": product,
        "scaled": scaled,
        "nudged": [one.nudged for one in codes],
        "rounded": [one.rounded for one in codes],
        "code": [one.code for one in codes],
    }


class RootMethod(Choice):
    """Way to the integer root; both give its floor.

    ``newton``: Newton's iteration from a proven start, for a number of steps that is proven to be enough.
    ``bits``: one bit a step, from the most significant one, without a division.
    """

    NEWTON = "newton"
    BITS = "bits"


class ReciprocalRoot(NamedTuple):
    """1 / sqrt(V) as ``reciprocal * 2**(exponent / 2 - (2 p - 1))``, and the values on the way to it."""

    exponent: int
    radicand: int
    root: int
    reciprocal: int


def reciprocal_root(variance: int, precision: int) -> ReciprocalRoot:
    """The reciprocal root of a positive integer V to a precision of p bits."""
    spare = 2 * precision - variance.bit_length()
    exponent = spare - spare % 2  # even, so that V 2**exponent has 2 p - 1 or 2 p bits
    radicand = variance << exponent if exponent >= 0 else variance >> -exponent
    root = isqrt(radicand)
    return ReciprocalRoot(exponent, radicand, root, (1 << (2 * precision - 1)) // root)


def newton_iterates(radicand: int, precision: int) -> list[int]:
    """Newton's iterates for the root, from 2**p, which is above it; the last is its floor."""
    iterates = [1 << precision]
    for _ in range(newton_steps(precision)):
        # Below the root a step would go up again, to the root of (m + 1)**2 - 1 from m: the lesser is kept.
        iterates.append(min(iterates[-1], (iterates[-1] + radicand // iterates[-1]) >> 1))
    return iterates[1:]


def newton_steps(precision: int) -> int:
    """Steps after which Newton's iteration from 2**p is at the floor of the root, for any radicand of 2 p bits.

    With s the real root and d the distance above it, one step leaves at most d**2 / (2 (s + d)), which is largest for
    the least root, 2**(p - 1). From a distance below 1 one more step reaches the floor, where the iteration stays.
    """
    root = 1 << (precision - 1)
    steps, distance = 1, Fraction(root)
    while distance >= 1:
        distance = distance * distance / (2 * (root + distance))
        steps += 1
    return steps
