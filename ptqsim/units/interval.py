"""Ranges of integers, and the registers that hold them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Final

WORD_BITS: Final = 63
"""Signed bits of an intermediate that kernels take: one less than a machine word has, so that a half can be added."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Every integer from `lowest` to `highest`.

    Parameters
    ----------
    lowest, highest : int
        Ends, both included.
    """

    lowest: int
    highest: int

    @property
    def signed(self) -> bool:
        """True if a negative integer is among them."""
        return self.lowest < 0

    @property
    def bits(self) -> int:
        """Width of the register that holds them: two's complement if `signed`, else unsigned, and at least 1."""
        if self.signed:
            return max((value if value >= 0 else ~value).bit_length() for value in (self.lowest, self.highest)) + 1
        return max(1, self.highest.bit_length())

    def __contains__(self, value: int) -> bool:
        return self.lowest <= value <= self.highest

    def __add__(self, other: Interval) -> Interval:
        return Interval(self.lowest + other.lowest, self.highest + other.highest)

    def __mul__(self, other: Interval) -> Interval:
        corners = [x * y for x, y in product((self.lowest, self.highest), (other.lowest, other.highest))]
        return Interval(min(corners), max(corners))

    def shifted(self, shift: int) -> Interval:
        """Every integer divided by ``2**shift``, a half rounded up; multiplied where `shift` is negative."""
        return Interval(half_up(self.lowest, shift), half_up(self.highest, shift))


def half_up(value: int, shift: int) -> int:
    """``value / 2**shift`` to the nearest integer, a half toward positive infinity; exact for a shift of 0 or less."""
    return (value + (1 << (shift - 1))) >> shift if shift > 0 else value << -shift


def signed_interval(bits: int) -> Interval:
    """The integers of two's complement."""
    return Interval(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def of_values(values: Iterable[int]) -> Interval:
    """The narrowest interval with all of the values in it."""
    listed = list(values)
    return Interval(min(listed), max(listed))


def hull(intervals: Iterable[Interval]) -> Interval:
    """The narrowest interval with all of the intervals in it."""
    listed = list(intervals)
    return Interval(min(one.lowest for one in listed), max(one.highest for one in listed))


def check_words(what: str, widths: dict[str, Interval], advice: str) -> None:
    """Refuse intermediates that kernels do not hold in a machine word, with a ValueError that names the widest."""
    name = max(widths, key=lambda one: widths[one].bits + (not widths[one].signed))
    needed = widths[name].bits + (not widths[name].signed)
    if needed > WORD_BITS:
        raise ValueError(f"{what}: '{name}' needs {needed} signed bits and at most {WORD_BITS} are legal; {advice}")
