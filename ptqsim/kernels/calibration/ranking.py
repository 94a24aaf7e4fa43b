"""Sums of hinges over pairs: what the order of scores is judged by (Liu et al. Eq. 10)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels.runtime.environment import in_default_environment
from ptqsim.kernels.runtime.jit import jit

# Rows whose scores and sums stay in the nearest cache while all pairs are gone through.
_ROWS = 64
# Columns that are skipped together where none of their hinges is positive.
_COLUMNS = 16


@in_default_environment
@jit
def hinge_sums(
    start: int, stop: int, scores: Any, order: Any, exact: Any, theta: Any, of_ties: Any, out: Any
) -> int:  # fmt: skip
    """Sum over p < q of max(0, s[order[q]] - s[order[p]] + theta), of each of the rows s [start, stop) of `scores`.

    `scores` [R, w]; `order` [R, w] of the columns has the largest exact score of the row first. `exact` [w, R] holds
    those scores in that order, a pair of equal ones counting `of_ties` instead; it is empty where there are none.
    `out` [R].

    Scores that nearly keep their order have hinges near the diagonal alone.  Hinges of 0 change no sum, so that
    skipping them changes no bit.
    """
    width = scores.shape[1]
    block = np.empty((width, _ROWS), np.float32)
    greatest = np.empty(((width + _COLUMNS - 1) // _COLUMNS, _ROWS), np.float32)
    for first in range(start, stop, _ROWS):
        last = min(first + _ROWS, stop)
        for r in range(first, last):
            for p in range(width):
                block[p, r - first] = scores[r, order[r, p]]
        if _any_tie(exact, first, last):
            _all_pairs(block, exact, first, theta, of_ties, out[first:last])
        else:
            _positive_pairs(block, greatest, theta, out[first:last])
    return 0


@jit
def _any_tie(exact: Any, first: int, last: int) -> bool:
    """True if a row of `exact` [w, R], sorted by column, has two equal scores."""
    for p in range(1, exact.shape[0]):
        for r in range(first, last):
            if exact[p, r] == exact[p - 1, r]:
                return True
    return False


@jit
def _all_pairs(block: Any, exact: Any, first: int, theta: Any, of_ties: Any, total: Any) -> None:
    """Sums of the first rows of `block` [w, rows] into `total`, where equal scores in `exact` count `of_ties`."""
    rows = len(total)
    total[:] = 0
    for p in range(len(block)):
        upper, one = block[p, :rows], exact[p, first : first + rows]
        for q in range(p + 1, len(block)):
            lower, other = block[q, :rows], exact[q, first : first + rows]
            for r in range(rows):
                hinge = max(lower[r] - upper[r] + theta, np.float32(0))
                total[r] += of_ties if one[r] == other[r] else hinge


@jit
def _positive_pairs(block: Any, greatest: Any, theta: Any, total: Any) -> None:
    """Sums of the first rows of `block` [w, rows] into `total`; `greatest` [blocks of columns, rows] is scratch."""
    rows = len(total)
    total[:] = 0
    for b in range(len(greatest)):
        most = greatest[b, :rows]
        most[:] = block[b * _COLUMNS, :rows]
        for q in range(b * _COLUMNS + 1, min((b + 1) * _COLUMNS, len(block))):
            lower = block[q, :rows]
            for r in range(rows):
                most[r] = max(most[r], lower[r])
    for p in range(len(block)):
        upper = block[p, :rows]
        blocks = len(greatest)
        while blocks > 0 and not _any_positive(greatest[blocks - 1, :rows], upper, theta):
            blocks -= 1
        for q in range(p + 1, min(blocks * _COLUMNS, len(block))):
            lower = block[q, :rows]
            for r in range(rows):
                total[r] += max(lower[r] - upper[r] + theta, np.float32(0))


@jit
def _any_positive(lower: Any, upper: Any, theta: Any) -> bool:
    """True if a hinge max(0, lower - upper + theta) is positive."""
    found = 0
    for r in range(len(lower)):
        found |= lower[r] - upper[r] + theta > 0  # no early exit, so that it takes many rows at once
    return found != 0
