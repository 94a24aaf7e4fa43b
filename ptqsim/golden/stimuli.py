"""Codes that exercise a datapath: at random, and from the corners of a format."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptqsim.common.choice import Choice
from ptqsim.common.validation import checked_integer, checked_seed
from ptqsim.formats.array import QuantizedArray
from ptqsim.formats.arrays.immutable import checked_anew
from ptqsim.formats.base import NumberFormat

_MAX_SIZE = 1 << 20


class Pattern(Choice):
    """The patterns of codes, one for each row of the left operand and each column of the right one.

    ``random``: every code equally likely. ``corners``: in turn the greatest value all along, the least, both in turn,
    the greatest and then the least (a register that overflows and comes back), every code one after the other, and
    random corner codes. ``mixed``: one corner pattern, one at random, and so on.
    """

    RANDOM = "random"
    CORNERS = "corners"
    MIXED = "mixed"


def stimulus(
    a_format: NumberFormat,
    b_format: NumberFormat,
    rows: int,
    depth: int,
    columns: int,
    pattern: Pattern | str = Pattern.MIXED,
    seed: int = 0,
) -> tuple[QuantizedArray, QuantizedArray]:
    """Codes of a [rows, depth] and b [depth, columns]: the same for the same arguments, whatever the numpy.

    Codes of infinity and NaN are left out, as they have no product.

    Parameters
    ----------
    a_format, b_format : NumberFormat
        Shift-alignable formats.
    rows, depth, columns : int
        M, K and N, each from 1 to 2**20.
    pattern : Pattern or str
        A `Pattern`, or its name.
    seed : int
        From 0 to 2**32 - 1.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If an argument is out of its range, or a format is not shift-alignable.
    """
    a_format = checked_anew("a_format", a_format, NumberFormat)
    b_format = checked_anew("b_format", b_format, NumberFormat)
    sizes = [
        checked_integer(what, value, 1, _MAX_SIZE)
        for what, value in (("rows", rows), ("depth", depth), ("columns", columns))
    ]
    chosen = Pattern.of(pattern)
    # RandomState's stream is frozen by NumPy (NEP 19); that of a Generator may change with a version.
    random = np.random.RandomState(checked_seed(seed))
    a = np.stack([_line(a_format, sizes[1], i, chosen, random) for i in range(sizes[0])])
    b = np.stack([_line(b_format, sizes[1], j, chosen, random) for j in range(sizes[2])], axis=1)
    return QuantizedArray(a, a_format), QuantizedArray(b, b_format)


def _line(
    number_format: NumberFormat, depth: int, index: int, pattern: Pattern, random: np.random.RandomState
) -> NDArray[np.int64]:
    """Codes that meet in one output."""
    table = number_format.aligned_table()
    every = np.arange(number_format.code_count)
    numbers = every[number_format.is_number(every)]
    if pattern == Pattern.RANDOM or (pattern == Pattern.MIXED and index % 2):
        return numbers[random.randint(0, len(numbers), depth, dtype=np.int64)]
    turn = index // 2 if pattern == Pattern.MIXED else index
    greatest, least = int(table.argmax()), int(table.argmin())
    steps = np.arange(depth)
    match turn % 6:
        case 0:
            return np.full(depth, greatest)
        case 1:
            return np.full(depth, least)
        case 2:
            return np.where(steps % 2, least, greatest)
        case 3:
            return np.where(steps < (depth + 1) // 2, greatest, least)
        case 4:
            return numbers[(steps + turn) % len(numbers)]
        case _:
            # Zero, the codes around the flag, the last ones, and both extremes.
            count, half = number_format.code_count, number_format.code_count // 2
            corners = np.array([0, 1, half - 1, half, half + 1, count - 2, count - 1, greatest, least])
            corners = corners[number_format.is_number(corners)]
            return corners[random.randint(0, len(corners), depth)]
