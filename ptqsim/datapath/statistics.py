"""Overflow statistics: outputs and events, the first event, and the width that would have been exact."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

from ptqsim.datapath.spec import bits_for


class FirstEvent(NamedTuple):
    """The first overflow event: the first output element in C order that has one, and its first step.

    The step is the depth index l of the (last) product that the failing addition brought in.
    """

    element: tuple[int, ...]
    step: int


def no_event() -> None:
    """The first event where there is none."""


class PrefixRange(NamedTuple):
    """Least and greatest exact prefix sums, zero (the empty prefix) included.

    `lowest` and `highest` are those of the P-bit registers, the `inner` ones those of the tile registers of a split
    order, zero in other orders.
    """

    lowest: int
    highest: int
    inner_lowest: int = 0
    inner_highest: int = 0

    def joined(self, other: PrefixRange) -> PrefixRange:
        """The range that covers both."""
        return PrefixRange(
            min(self.lowest, other.lowest),
            max(self.highest, other.highest),
            min(self.inner_lowest, other.inner_lowest),
            max(self.inner_highest, other.inner_highest),
        )


class OverflowStatistics:
    """Overflow events of one matrix product.

    An event is one addition whose exact sum, of the register's value at that time and the term, does not fit the
    register.

    Parameters
    ----------
    outputs : int
        Number of output elements with an event.
    events : int
        Number of events.
    first : callable
        Finds the first event, if there is one.
    prefixes : callable
        Finds the range of the exact prefix sums.
    """

    def __init__(
        self,
        outputs: int,
        events: int,
        first: Callable[[], FirstEvent | None],
        prefixes: Callable[[], PrefixRange],
    ) -> None:
        self.outputs = outputs
        self.events = events
        self._first = first if outputs else no_event
        self._prefixes = prefixes

    @cached_property
    def first(self) -> FirstEvent | None:
        """The first event, or None; found on first use."""
        found = self._first()
        self._first = lambda: found  # frees the operands
        return found

    @cached_property
    def prefixes(self) -> PrefixRange:
        """Range of the exact prefix sums; found on first use."""
        found = self._prefixes()
        self._prefixes = lambda: found  # frees the operands
        return found

    @property
    def bits_needed(self) -> int:
        """Width of the accumulator with which every prefix sum would have been exact."""
        return bits_for(self.prefixes.lowest, self.prefixes.highest)

    @property
    def inner_bits_needed(self) -> int:
        """Width of the tile register with which every prefix sum in a tile would have been exact (split order)."""
        return bits_for(self.prefixes.inner_lowest, self.prefixes.inner_highest)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OverflowStatistics):
            return NotImplemented
        return self._values() == other._values()

    def __getstate__(self) -> dict[str, object]:
        """State for pickling. Pending statistics are computed first, as operands are not pickled."""
        return {"outputs": self.outputs, "events": self.events, "first": self.first, "prefixes": self.prefixes}

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"OverflowStatistics(outputs={self.outputs}, events={self.events}, first={self.first})"

    def _values(self) -> tuple[object, ...]:
        return self.outputs, self.events, self.first, self.prefixes
