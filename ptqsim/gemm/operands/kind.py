"""The meaning of codes in a product: the values that they stand for, as a whole or one range at a time."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptqsim.formats.base import GridRange, NumberFormat

Kind = tuple[NumberFormat, int | None]
"""Meaning of codes in a product: a whole format, or the mantissas of one of its ranges."""


def ranges_of(kind: Kind) -> tuple[GridRange, ...]:
    """The ranges that the values are put together from."""
    number_format, grid_range = kind
    ranges = number_format.ranges()
    return ranges if grid_range is None else (GridRange(0, ranges[grid_range].mantissa),)


def table_of(kind: Kind) -> NDArray[np.int64]:
    """The value of every code."""
    number_format, grid_range = kind
    return number_format.aligned_table() if grid_range is None else number_format.ranges()[grid_range].mantissa


# A layer uses the same formats in every call.
@lru_cache(maxsize=256)
def values_of(kind: Kind) -> tuple[tuple[GridRange, ...], NDArray[np.int64], int]:
    """Ranges and table of a kind, and the largest magnitude in the table."""
    table = table_of(kind)
    return ranges_of(kind), table, max(-int(table.min()), int(table.max()))


@lru_cache(maxsize=256)
def without_zero_point(number_format: Any) -> NumberFormat:
    """The format of the same codes if no zero point is subtracted."""
    without: NumberFormat = replace(number_format, zero_point=0)
    return without
