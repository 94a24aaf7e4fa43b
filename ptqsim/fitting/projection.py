"""The nearest codes within limits: exact, in integers (docs/fitted_weights.md, projection)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ptqsim.fitting.limits import Limit, RegisterLimits

Integers = NDArray[np.int64]
FRACTION: Final = 16
"""Bits behind the point of a target: distances are compared exactly in multiples of 2**-16 of a step."""
_UNREACHED: Final = (1 << 63) - 1


def fixed_point(target: NDArray[np.float64], bits: int) -> Integers:
    """Targets in multiples of 2**-FRACTION of a step, clamped to twice the range of codes of `bits` bits."""
    most = float(1 << (bits + FRACTION))
    return np.clip(np.rint(np.ldexp(target, FRACTION)), -most, most).astype(np.int64)


def project(codes: Integers, target: Integers, limits: RegisterLimits) -> Integers:
    """The codes that keep the limits and are nearest to the target, among those that are no larger than `codes`.

    Tiles are projected first, each by itself, then the whole column.

    Parameters
    ----------
    codes : int64 array [K, N]
        The nearest codes without limits; of each weight the result has its sign or is 0.
    target : int64 array [K, N]
        In multiples of 2**-FRACTION.
    limits : RegisterLimits
        The limits.
    """
    fitted = codes.copy()
    depth = len(codes)
    if limits.tile is not None:
        for start in range(0, depth, limits.tile):
            rows = slice(start, start + limits.tile)
            _project_columns(fitted[rows], target[rows], limits.tiles)
    _project_columns(fitted, target, limits.whole)
    return fitted


def _project_columns(codes: Integers, target: Integers, limits: Sequence[Limit]) -> None:
    """The same for the limits of one register, in place; only columns that do not keep them change."""
    positive, negative = np.maximum(codes, 0).sum(axis=0), np.maximum(-codes, 0).sum(axis=0)
    for n in range(codes.shape[1]):
        sums = int(positive[n]), int(negative[n])
        if all(limit.holds(*sums) for limit in limits):
            continue
        column, wanted = codes[:, n], target[:, n]
        up, down = _units(column, wanted), _units(-column, -wanted)
        kept, lost = _split(up[1], down[1], limits)
        column -= np.bincount(up[0][: len(up[0]) - kept], minlength=len(column))
        column += np.bincount(down[0][: len(down[0]) - lost], minlength=len(column))


def _units(codes: Integers, target: Integers) -> tuple[Integers, Integers]:
    """Steps by which the positive of `codes` can shrink, cheapest first.

    Returns
    -------
    index : int64 array [S]
        The weight that each step makes smaller by 1; S is the sum of the positive codes.
    distance : int64 array [S + 1]
        What the first steps together add to the squared distance from the target.
    """
    sizes = np.maximum(codes, 0)
    index = np.repeat(np.arange(len(codes)), sizes)
    # Of every weight from its code down to 1: (t - j + 1)^2 - (t - j)^2 = 2 (t - j) + 1, which rises as j falls.
    taken = np.arange(len(index)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    j = codes[index] - taken
    price = 2 * (target[index] - (j << FRACTION)) + (1 << FRACTION)
    order = np.argsort(price, kind="stable")  # of equal ones the first weight shrinks first
    return index[order], np.concatenate([[0], np.cumsum(price[order])])


def _split(up: Integers, down: Integers, limits: Sequence[Limit]) -> tuple[int, int]:
    """The sums of positive and of negated negative weights that keep the limits at the least distance.

    Both distances are convex; every sum of the negative weights is tried with the largest that it leaves to the
    positive ones. Of equal distances that with the larger sum of positive weights is taken.
    """
    most, least = len(up) - 1, len(down) - 1
    negative = np.arange(least + 1)
    positive = np.full(least + 1, most)
    for limit in limits:
        rest = limit.budget - limit.negative * negative
        positive = np.minimum(positive, rest // limit.positive if limit.positive else np.where(rest >= 0, most, -1))
    legal = positive >= 0
    distance = np.where(legal, up[most - np.maximum(positive, 0)] + down[least - negative], _UNREACHED)
    best = int(np.argmin(distance))  # the first: the least sum of negative weights, and so the most of the positive
    return int(positive[best]), int(negative[best])
