"""The ranges that aligned values are put together from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ptqsim.formats.arrays.immutable import seal


class GridRange(NamedTuple):
    """One range of a shift-alignable format: code c of it stands for ``mantissa[c] << shift``.

    `mantissa` has one entry per code, zero for the codes of other ranges, so that an aligned value is the sum over the
    ranges of its format, and a dot product is the shifted sum of one dot product per range (PTQ4ViT, Eq. 5).
    """

    shift: int
    mantissa: NDArray[np.int64]


def sum_of_ranges(ranges: tuple[GridRange, ...]) -> NDArray[np.int64]:
    """The aligned value of every code, from the ranges that it is put together from."""
    table = np.zeros_like(ranges[0].mantissa)
    for grid_range in ranges:
        table += grid_range.mantissa << grid_range.shift
    return seal(table)
