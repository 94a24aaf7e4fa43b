"""Rows that exercise a unit: the ends of its inputs, and all magnitudes between them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptqsim.common.validation import checked_integer, checked_seed
from ptqsim.units import Unit

LONGEST = 64
"""Length of a row where the unit leaves it open, unless one is asked for."""

_CORNERS = 8


def rows_for(unit: Unit, rows: int, length: int | None = None, seed: int = 0) -> tuple[NDArray[np.int64], ...]:
    """Rows of every input of a unit: the same for the same arguments, whatever the numpy.

    The first eight are the least value all along, the greatest, zero, half of each, the greatest and then the least,
    the least and then the greatest, one after the other, and a ramp; the others are drawn, with standard deviations of
    all magnitudes and a mean of their own.

    Parameters
    ----------
    unit : Unit
        The unit.
    rows : int
        From 1 to 2**20.
    length : int, optional
        Of a row; the unit's number of channels, or up to 64 values, by default.
    seed : int, optional
        From 0 to 2**32 - 1.

    Returns
    -------
    tuple of int64 array [rows, length]
        One for every input.

    Raises
    ------
    ValueError
        If the unit takes no rows of that length, or an argument is out of its range.
    """
    count = checked_integer("rows", rows, 1, 1 << 20)
    longest = unit.longest if unit.channels is None else unit.channels
    given = min(longest, LONGEST) if length is None and unit.channels is None else length or longest
    n = checked_integer("length", given, unit.channels or 1, longest)
    random = np.random.RandomState(checked_seed(seed))  # its stream is frozen by NumPy (NEP 19)
    return tuple(_rows(one.bits, count, n, random) for one in unit.inputs)


def _rows(bits: int, rows: int, n: int, random: np.random.RandomState) -> NDArray[np.int64]:
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    index = np.arange(n)
    corners = [
        np.full(n, low), np.full(n, high), np.zeros(n, np.int64), np.where(index < n // 2, low, high),
        np.where(index == 0, high, low), np.where(index == n - 1, high, low), np.where(index % 2, low, high),
        np.clip(index - n // 2, low, high),
    ]  # fmt: skip
    # Integers alone: a deviation of 2**e, and sums of four uniform integers in place of a normal variable.
    found = np.empty((rows, n), np.int64)
    for row in range(rows):
        reach = 1 << int(random.randint(0, bits - 2)) if bits > 2 else 1
        drawn = random.randint(-reach, reach + 1, (4, n), dtype=np.int64).sum(0)
        mean = int(random.randint(-reach, reach + 1))
        found[row] = corners[row] if row < _CORNERS else np.clip(drawn + mean, low, high)
    return found
