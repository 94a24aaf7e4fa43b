"""The descent of bit splitting over rows of ternary digits (see `ptqsim.ptq.calibration.rounding.bit_split`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels.runtime.environment import in_default_environment
from ptqsim.kernels.runtime.jit import jit

# Columns whose slopes stay in the nearest cache while all rows are gone through.
_COLUMNS = 32


@in_default_environment
@jit
def settle(
    start: int, stop: int, gram: Any, target: Any, slope: Any, scale: float, step: float, digit: Any, q: Any
) -> int:  # fmt: skip
    """Set one row after the other of the columns [start, stop) to the best of -1, 0 and 1, and the codes with it.

    All are float64: `gram` [R, R] is H of these rows, `target` [R, N] R, and `slope` [R, N] H Q, which is brought up to
    date as Q changes; `digit` and `q` [R, N] are written to.
    """
    rows = len(gram)
    change = np.empty(_COLUMNS)
    for first in range(start, stop, _COLUMNS):
        last = min(first + _COLUMNS, stop)
        for i in range(rows):
            curvature = gram[i, i]
            if curvature <= 0:  # an input that is always zero
                continue
            wanted, steep = target[i, first:last], slope[i, first:last]
            place, codes = digit[i, first:last], q[i, first:last]
            changed = False
            for n in range(len(codes)):
                part = step * place[n]
                # the zero of the derivative: s H_nn x = R_n - s (H_n Q - H_nn (q_n - rest)), x being step * digit
                best = (wanted[n] - scale * (steep[n] - curvature * part)) / (scale * curvature)
                place[n] = min(max(np.rint(best / step), -1.0), 1.0)
                change[n] = step * place[n] - part
                codes[n] += change[n]
                changed |= change[n] != 0
            if changed:
                for j in range(i + 1, rows):
                    later = slope[j, first:last]
                    for n in range(len(later)):
                        later[n] += gram[j, i] * change[n]
    return 0
