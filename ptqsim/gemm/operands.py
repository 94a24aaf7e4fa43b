"""Operands of a product, aligned in the type that it will run in, with the norms that bound it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from ptqsim.formats.array import QuantizedArray
from ptqsim.kernels import _threads, align

FLOAT32_EXACT = 1 << 24
"""Every integer up to this magnitude is a float32."""

FLOAT64_EXACT = 1 << 53
"""Every integer up to this magnitude is a float64."""

# Aligned codes, as long as their array lives: the weights of a layer meet many activations.
_aligned: WeakKeyDictionary[QuantizedArray, dict[tuple[str, int | None], Side]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Side:
    """One operand of a product.

    Parameters
    ----------
    values
        Aligned values [..., M, K] (left) or [..., K, N] (right), in float32 if that holds every aligned value of the
        format exactly, else in float64, which does: 16-bit codes with the largest shift take 48 bits.
    peak, total, energy
        Largest magnitude, sum of magnitudes and sum of squares of each row (left, [..., M]) or column (right,
        [..., N]), float64; `total` and `energy` are exact below 2**53 and slightly off above.
    """

    values: NDArray[Any]
    peak: NDArray[np.float64]
    total: NDArray[np.float64]
    energy: NDArray[np.float64]

    @property
    def norms(self) -> Norms:
        """The largest of each norm."""
        return Norms(*(float(norm.max(initial=0.0)) for norm in (self.peak, self.total, self.energy)))


class Norms(NamedTuple):
    """The largest peak, total and energy of any row or column."""

    peak: float
    total: float
    energy: float


def left(array: QuantizedArray, grid_range: int | None = None) -> Side:
    """The left operand: all of it aligned, or the mantissas of one range only."""
    return _side(array, "left", grid_range)


def right(array: QuantizedArray, grid_range: int | None = None) -> Side:
    """The right operand: all of it aligned, or the mantissas of one range only."""
    return _side(array, "right", grid_range)


def _side(array: QuantizedArray, which: str, grid_range: int | None) -> Side:
    known = _aligned.setdefault(array, {})
    key = (which, grid_range)
    if key not in known:
        number_format = array.format
        table = number_format.aligned_table() if grid_range is None else number_format.ranges()[grid_range].mantissa
        known[key] = _align(array.codes, table, which == "left")
    return known[key]


def _align(codes: NDArray[Any], table: NDArray[np.int64], rows: bool) -> Side:
    largest = int(np.abs(table).max())
    dtype = np.float32 if largest <= FLOAT32_EXACT else np.float64
    *lead, first, last = codes.shape
    table = table.astype(dtype)
    values = np.empty(codes.shape, dtype)
    norm_shape = (*lead, first) if rows else (*lead, last)
    peak, total, energy = np.zeros((3, *norm_shape))
    if values.size:
        flat = (-1, last) if rows else (-1, first, last)
        parts = [np.ascontiguousarray(codes).reshape(flat), table, values.reshape(flat)]
        norms = [norm.reshape(-1) if rows else norm.reshape(-1, last) for norm in (peak, total, energy)]
        kernel = align.align_rows if rows else align.align_columns
        _threads.run(kernel, parts[0].shape[0], max(1, (1 << 15) // max(1, last)), *parts, *norms)
    return Side(values, peak, total, energy)


def magnitude_bound(a: Norms, b: Norms) -> int:
    """An integer that no sum over any subset of one output's products exceeds in magnitude.

    Every such sum is at most sum |a_l| |w_l|, and that is at most max|a| * sum|w|, sum|a| * max|w|, and by Cauchy and
    Schwarz sqrt(sum a_l**2 * sum w_l**2); here with the largest norm of any row and any column.
    """
    # 2**-20 covers the rounding of the sums: each of K < 2**31 additions is off by at most 2**-53, relatively.
    margin = 1.0 + 2.0**-20
    products = [a.peak * b.total, a.total * b.peak]
    bounds = [value if value < FLOAT64_EXACT else value * margin for value in products]
    bounds.append((a.energy * b.energy) ** 0.5 * margin)
    return math.ceil(min(bounds))
