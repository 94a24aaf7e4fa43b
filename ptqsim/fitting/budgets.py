"""The rest of the limits of every column while its codes are chosen one row after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ptqsim.fitting.limits import Limit, RegisterLimits

Integers = NDArray[np.int64]
Reals = NDArray[np.float64]
_UNLIMITED: Final = 1 << 40
_BISECTIONS: Final = 24


class Budgets:
    """The rests of all limits, for weights [K, N] of which none is chosen yet.

    Parameters
    ----------
    limits : RegisterLimits
        The limits of a column.
    depth, columns : int
        K and N.
    """

    def __init__(self, limits: RegisterLimits, depth: int, columns: int) -> None:
        self.limits = limits
        self.tile = np.zeros(depth, np.int64) if limits.tile is None else np.arange(depth) // limits.tile
        self._whole = [np.full(columns, limit.budget) for limit in limits.whole]
        tiles = int(self.tile.max(initial=0)) + 1
        self._tiles = [np.full((tiles, columns), limit.budget) for limit in limits.tiles]

    def range_of(self, row: int) -> tuple[Integers, Integers]:
        """Least and greatest code [N] that the rests leave to one row."""
        least, most = np.full(self._columns, _UNLIMITED), np.full(self._columns, _UNLIMITED)
        for limit, rest in self._rests(row):
            if limit.positive:
                most = np.minimum(most, rest // limit.positive)
            if limit.negative:
                least = np.minimum(least, rest // limit.negative)
        return -least, most

    def spend(self, row: int, codes: Integers) -> None:
        """Take codes [N] of one row off the rests."""
        for limit, rest in self._rests(row):
            rest -= limit.positive * np.maximum(codes, 0) + limit.negative * np.maximum(-codes, 0)

    def give_back(self, row: int, codes: Integers) -> None:
        """Undo `spend`."""
        for limit, rest in self._rests(row):
            rest += limit.positive * np.maximum(codes, 0) + limit.negative * np.maximum(-codes, 0)

    def thresholds(self, rows: Integers, target: Reals) -> tuple[Reals, Reals]:
        """Soft thresholds by which targets [R, N] of these rows have to shrink to keep the rests, if all do alike.

        Returns
        -------
        positive, negative : float64 array [R, N]
            Of positive and of negative targets: those of the Euclidean projection, for one limit after the other.
        """
        positive, negative = np.zeros_like(target), np.zeros_like(target)
        if self.limits.tiles:
            for tile in np.unique(self.tile[rows]):
                of_tile = self.tile[rows] == tile
                pairs = [(limit, rest[tile]) for limit, rest in zip(self.limits.tiles, self._tiles, strict=True)]
                positive[of_tile], negative[of_tile] = _thresholds(target[of_tile], pairs)
        shrunk = np.maximum(target - positive, 0) - np.maximum(-target - negative, 0)
        more = _thresholds(shrunk, list(zip(self.limits.whole, self._whole, strict=True)))
        return positive + more[0], negative + more[1]

    @property
    def _columns(self) -> int:
        return len(self._whole[0])

    def _rests(self, row: int) -> list[tuple[Limit, Integers]]:
        whole = list(zip(self.limits.whole, self._whole, strict=True))
        return whole + [
            (limit, rest[self.tile[row]]) for limit, rest in zip(self.limits.tiles, self._tiles, strict=True)
        ]


def _thresholds(target: Reals, pairs: Sequence[tuple[Limit, Integers]]) -> tuple[Reals, Reals]:
    """Thresholds [N] of positive and negative targets, limit by limit: the multiplier of each is found by bisection."""
    columns = target.shape[1]
    positive, negative = np.zeros(columns), np.zeros(columns)
    up, down = np.maximum(target, 0), np.maximum(-target, 0)
    for limit, rest in pairs:
        low = np.zeros(columns)
        over = _cost(up, down, limit, positive, negative) > rest
        if not over.any():
            continue
        greatest = max(float(up.max(initial=0)), float(down.max(initial=0)))
        high = np.full(columns, greatest / min(f for f in (limit.positive, limit.negative) if f))
        for _ in range(_BISECTIONS):
            by = (low + high) / 2
            above = _cost(up, down, limit, positive + by * limit.positive, negative + by * limit.negative) > rest
            low, high = np.where(above, by, low), np.where(above, high, by)
        by = np.where(over, high, 0.0)
        positive, negative = positive + by * limit.positive, negative + by * limit.negative
    return positive, negative


def _cost(up: Reals, down: Reals, limit: Limit, positive: Reals, negative: Reals) -> Reals:
    """Part of a limit that targets of both signs take, shrunk by these thresholds: [N]."""
    total = limit.positive * np.maximum(up - positive, 0).sum(axis=0)
    total += limit.negative * np.maximum(down - negative, 0).sum(axis=0)
    return np.asarray(total, np.float64)
