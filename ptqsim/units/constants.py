"""Integer constants of units, computed from real parameters in exact fractions: the same on every machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from ptqsim.common.validation import checked_integer, checked_scale, checked_type
from ptqsim.errors import ArgumentTypeError
from ptqsim.formats.arrays.given import as_array, as_integers
from ptqsim.formats.arrays.immutable import Constructed

Value = TypeVar("Value")

MAX_MULTIPLIER_BITS = 31
MAX_SHIFT = 62


@dataclass(frozen=True, slots=True)
class Multiplier(Constructed):
    """Factors ``mantissa / 2**shift``, one for a whole tensor or one for every channel.

    Parameters
    ----------
    mantissa : sequence of int
        One, or one per channel; magnitudes below 2**31.
    shift : sequence of int
        As many, -32 to 62; negative is to the left.

    Raises
    ------
    TypeError
        If an entry is no integer.
    ValueError
        If an entry is out of its range, or the lengths differ.
    """

    mantissa: tuple[int, ...]
    shift: tuple[int, ...]

    # Written out, because it takes more types than the fields have.
    def __init__(self, mantissa: Sequence[int], shift: Sequence[int]) -> None:
        top = (1 << MAX_MULTIPLIER_BITS) - 1
        object.__setattr__(self, "mantissa", checked_integers("mantissa", mantissa, -top, top))
        object.__setattr__(self, "shift", checked_integers("shift", shift, -32, MAX_SHIFT))
        if len(self.mantissa) != len(self.shift):
            raise ValueError(
                f"{len(self.mantissa)} mantissas have {len(self.shift)} shifts; give one shift for each of them"
            )

    @classmethod
    def of(cls, factor: ArrayLike, bits: int = 16) -> Multiplier:
        """The multipliers nearest to real factors.

        Parameters
        ----------
        factor : float or array of shape (C,)
            Not zero, and magnitudes from 2**-46 to below 2**31.
        bits : int, optional
            Significant bits of every mantissa, 1 to 31.
        """
        bits = checked_integer("multiplier_bits", bits, 1, MAX_MULTIPLIER_BITS)
        pairs = [_nearest_pair(value, bits) for value in reals("factor", factor)]
        return cls([mantissa for mantissa, _ in pairs], [shift for _, shift in pairs])

    @property
    def channels(self) -> int:
        """Number of factors; 1 if they are the same for a whole tensor."""
        return len(self.mantissa)

    @property
    def factors(self) -> tuple[float, ...]:
        """The real factors that they stand for."""
        return tuple(math.ldexp(m, -s) for m, s in zip(self.mantissa, self.shift, strict=True))


def _nearest_pair(value: float, bits: int) -> tuple[int, int]:
    fraction, exponent = math.frexp(value)
    if not abs(value) > 0.0 or not -46 < exponent <= 31:
        raise ValueError(f"a factor must have a magnitude from 2**-46 to below 2**31, got {value!r}")
    mantissa = nearest(Fraction(fraction) * (1 << bits))
    if abs(mantissa) == 1 << bits:
        mantissa, exponent = mantissa // 2, exponent + 1
    # A mantissa that ends in zero bits is the same factor with a narrower multiplier; powers of two become shifts.
    shift = bits - exponent
    while mantissa % 2 == 0 and shift > 0:
        mantissa, shift = mantissa // 2, shift - 1
    return mantissa, shift


def nearest(value: Fraction) -> int:
    """The nearest integer, a half toward positive infinity."""
    return math.floor(value + Fraction(1, 2))


def reals(what: str, given: ArrayLike) -> list[float]:
    """One real number, or a vector of them, as a list of finite floats.

    Raises
    ------
    TypeError
        If they are no real numbers.
    ValueError
        If there are none, if they are no vector, or if one is not finite.
    """
    array = as_array(what, given)
    if array.dtype.kind not in "uif":
        raise ArgumentTypeError(f"{what} must be real numbers, got an array of {array.dtype}")
    if array.ndim > 1 or not array.size:
        raise ValueError(f"{what} must be one number or a vector of them, got an array of shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{what} must be finite; {int((~np.isfinite(array)).sum())} of {array.size} are not")
    return [float(value) for value in array.reshape(-1)]


def scales(what: str, given: ArrayLike) -> list[Fraction]:
    """Positive reals, one or a vector, as exact fractions."""
    return [Fraction(checked_scale(value, what)) for value in reals(what, given)]


def checked_integers(what: str, given: Any, lowest: int, highest: int) -> tuple[int, ...]:
    """A vector of integers in a range as a tuple.

    Raises
    ------
    TypeError
        If they are no integers.
    ValueError
        If there are none, if they are no vector, or if one is out of the range.
    """
    if isinstance(given, tuple | list) and given and all(type(value) is int for value in given):
        values = tuple(given)
    else:
        array = as_integers(what, given, f"a vector of integers from {lowest} to {highest}")
        if array.ndim != 1 or not array.size:
            raise ValueError(f"{what} must be a vector of at least one integer, got an array of shape {array.shape}")
        values = tuple(int(value) for value in array)
    wrong = [(index, value) for index, value in enumerate(values) if not lowest <= value <= highest]
    if wrong:
        raise ValueError(
            f"{what} must be integers from {lowest} to {highest}, got {wrong[0][1]} at index {wrong[0][0]} "
            f"({len(wrong)} of {len(values)} are out of range)"
        )
    return values


def one_channel_count(what: str, **counts: int) -> int:
    """Number of channels of constants of which each has one entry or one per channel."""
    several = {name: count for name, count in counts.items() if count != 1}
    if len(set(several.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in several.items())
        raise ValueError(f"{what} has constants for different numbers of channels ({listed}); give 1 or one number")
    return next(iter(several.values()), 1)


def spread(values: Sequence[Value], count: int) -> list[Value]:
    """One value per channel: `values` if they are that many, else the one of them again and again."""
    return list(values) if len(values) == count else [values[0]] * count


def checked_one(multiplier: object) -> Multiplier:
    """A positive multiplier for a whole tensor."""
    given = checked_type("multiplier", multiplier, Multiplier)
    if given.channels != 1 or given.mantissa[0] < 1:
        raise ValueError(
            f"this unit takes one positive multiplier, got {given.channels} with the mantissa "
            f"{given.mantissa[0]}; give one for the whole tensor"
        )
    return given
