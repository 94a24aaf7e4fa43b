"""Sums of hinges over pairs: what the order of scores is judged by (Liu et al. Eq. 10)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels._jit import jit

# Rows whose scores and sums stay in the nearest cache while all pairs are gone through.
_ROWS = 64


@jit
def hinge_sums(start: int, stop: int, ranked: Any, exact: Any, theta: Any, of_ties: Any, out: Any) -> int:
    """Sum over p < q of max(0, ranked[q] - ranked[p] + theta), of each of the rows [start, stop).

    `ranked` and `exact` [w, R] hold a row of scores in each column, the largest exact one first; a pair of equal exact
    scores counts `of_ties` instead. `exact` is empty where there are none. `out` [R].
    """
    width, ties = ranked.shape[0], exact.shape[0] > 0
    for first in range(start, stop, _ROWS):
        last = min(first + _ROWS, stop)
        total = out[first:last]
        total[:] = 0
        for p in range(width):
            upper = ranked[p, first:last]
            for q in range(p + 1, width):
                lower = ranked[q, first:last]
                if ties:
                    one, other = exact[p, first:last], exact[q, first:last]
                    for r in range(len(total)):
                        hinge = max(lower[r] - upper[r] + theta, np.float32(0))
                        total[r] += of_ties if one[r] == other[r] else hinge
                else:
                    for r in range(len(total)):
                        total[r] += max(lower[r] - upper[r] + theta, np.float32(0))
    return 0
