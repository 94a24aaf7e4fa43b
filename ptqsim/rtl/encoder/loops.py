"""Addresses as nested loops: a base, and a count and a stride for every loop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Loop = tuple[int, int]
"""Count and stride."""


@dataclass(frozen=True, slots=True)
class Loops:
    """A sequence of addresses, with strides for counters.

    Parameters
    ----------
    base : int
        First address.
    outer, inner : tuple of tuple[int, int]
        Count and stride of every loop, the innermost last: those over rows, and those within a row.
    """

    base: int
    outer: tuple[Loop, ...]
    inner: tuple[Loop, ...]

    @property
    def loops(self) -> tuple[Loop, ...]:
        """All loops, the innermost first."""
        return (*self.outer, *self.inner)[::-1]

    @property
    def length(self) -> int:
        """Number of addresses."""
        return int(np.prod([count for count, _ in self.loops]))

    @property
    def limits(self) -> tuple[int, ...]:
        """Last count of every loop, the innermost first."""
        return tuple(count - 1 for count, _ in self.loops)

    @property
    def jumps(self) -> tuple[int, ...]:
        """Addends to the address where a loop goes on and those inside it start again, the innermost first."""
        found, inside = [], 0
        for count, stride in self.loops:
            found.append(stride - inside)
            inside += (count - 1) * stride
        return tuple(found)

    def addresses(self) -> NDArray[np.int64]:
        """All addresses, in their order."""
        found = np.array([self.base], np.int64)
        for count, stride in self.loops[::-1]:
            found = (found[:, None] + np.arange(count) * stride).reshape(-1)
        return found


def loops_of(table: NDArray[np.int64]) -> Loops:
    """The loops of a table of addresses [rows, length], row after row.

    Raises
    ------
    ValueError
        If the addresses are not those of nested loops.
    """
    inner, outer = _loops(table[0] - table[0, 0]), _loops(table[:, 0] - table[0, 0])
    found = Loops(int(table[0, 0]), outer, inner)
    if not np.array_equal(found.addresses(), table.reshape(-1)):
        raise ValueError("the order of a rearrangement is not that of nested loops, which an address generator counts")
    return found


def _loops(offsets: NDArray[np.int64]) -> tuple[Loop, ...]:
    """Loops of offsets that begin with 0, the outermost first: at least one."""
    count = len(offsets)
    if count == 1:
        return ((1, 0),)
    stride = int(offsets[1])
    straight = int(np.argmin(np.append(offsets == np.arange(count) * stride, False)))
    if straight == count:
        return ((count, stride),)
    length = next(one for one in range(straight, 0, -1) if count % one == 0)
    if length == 1:
        raise ValueError("the order of a rearrangement is not that of nested loops, which an address generator counts")
    return (*_loops(offsets[::length]), (length, stride))
