"""Codes to aligned values in the type that a product will run in, with the norms that its bounds need.

The values are integers in a float or integer type that holds them exactly. A norm is per row of the left operand and
per column of the right one: `peak` is the largest magnitude, `total` the sum of magnitudes, `energy` the sum of
squares. Sums are float64: exact below 2**53, and rounded above.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels._jit import jit


@jit
def align_rows(start: int, stop: int, codes: Any, table: Any, values: Any, peak: Any, total: Any, energy: Any) -> int:
    """Rows [start, stop) of codes [rows, K]."""
    depth = codes.shape[1]
    for i in range(start, stop):
        for k in range(depth):
            values[i, k] = table[codes[i, k]]
        largest, magnitudes, squares = 0.0, 0.0, 0.0
        for k in range(depth):
            magnitude = abs(np.float64(values[i, k]))
            largest = max(largest, magnitude)
            magnitudes += magnitude
            squares += magnitude * magnitude
        peak[i], total[i], energy[i] = largest, magnitudes, squares
    return 0


@jit
def align_columns(
    start: int, stop: int, codes: Any, table: Any, values: Any, peak: Any, total: Any, energy: Any
) -> int:
    """Columns of the matrices [start, stop) of codes [batch, K, N]; the norms [batch, N] come as zeros."""
    depth, columns = codes.shape[1], codes.shape[2]
    for batch in range(start, stop):
        for k in range(depth):
            for j in range(columns):
                value = table[codes[batch, k, j]]
                values[batch, k, j] = value
                magnitude = abs(np.float64(value))
                peak[batch, j] = max(peak[batch, j], magnitude)
                total[batch, j] += magnitude
                energy[batch, j] += magnitude * magnitude
    return 0
