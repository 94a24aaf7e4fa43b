"""Sums of hinges over pairs: what the order of scores is judged by (Liu et al. Eq. 10)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels.runtime.environment import in_default_environment
from ptqsim.kernels.runtime.jit import jit

# Rows whose scores and sums stay in the nearest cache while all pairs are gone through.
_ROWS = 64


@in_default_environment
@jit
def hinge_sums(
    start: int, stop: int, scores: Any, order: Any, exact: Any, theta: Any, of_ties: Any, out: Any
) -> int:  # fmt: skip
    """Sum over p < q of max(0, s[order[q]] - s[order[p]] + theta), of each of the rows s [start, stop) of `scores`.

    `scores` [R, w]; `order` [R, w] of the columns has the largest exact score of the row first. `exact` [w, R] holds
    those scores in that order, a pair of equal ones counting `of_ties` instead; it is empty where there are none.
    `out` [R].
    """
    width, ties = scores.shape[1], exact.shape[0] > 0
    block = np.empty((width, _ROWS), np.float32)
    for first in range(start, stop, _ROWS):
        last = min(first + _ROWS, stop)
        for r in range(first, last):
            for p in range(width):
                block[p, r - first] = scores[r, order[r, p]]
        total = out[first:last]
        total[:] = 0
        for p in range(width):
            upper = block[p, : last - first]
            for q in range(p + 1, width):
                lower = block[q, : last - first]
                if ties:
                    one, other = exact[p, first:last], exact[q, first:last]
                    for r in range(len(total)):
                        hinge = max(lower[r] - upper[r] + theta, np.float32(0))
                        total[r] += of_ties if one[r] == other[r] else hinge
                else:
                    for r in range(len(total)):
                        total[r] += max(lower[r] - upper[r] + theta, np.float32(0))
    return 0
