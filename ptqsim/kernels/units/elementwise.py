"""Units that compute every value by itself: rescaling, and the sum with a residual."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels.runtime.jit import jit
from ptqsim.kernels.runtime.team import shared
from ptqsim.kernels.units.target import encode_by_shift


@jit
def rescaled(acc: Any, bias: Any, mantissa: Any, shift: Any, constants: Any, product: Any, codes: Any) -> None:
    """Codes of (acc + bias) * mantissa / 2**shift, for a row; `product` is room for as many integers."""
    for j in range(len(acc)):
        product[j] = (acc[j] + bias[j]) * mantissa[j]
    encode_by_shift(product, shift, constants, codes)


@jit
def rescale(
    start: int, stop: int, team: int, acc: Any, bias: Any, mantissa: Any, shift: Any, constants: Any, codes: Any
) -> int:
    """Codes of (acc + bias) * mantissa / 2**shift; acc is [R, n], the constants are [n]."""
    start = shared(start, stop, team)
    product = np.empty(acc.shape[1], np.int64)
    for row in range(start, stop):
        rescaled(acc[row], bias, mantissa, shift, constants, product, codes[row])
    return 0


@jit
def residual_add(
    start: int,
    stop: int,
    team: int,
    x: Any,
    acc: Any,
    bias: Any,
    m1: Any,
    m2: Any,
    shift: Any,
    constants: Any,
    codes: Any,
) -> int:
    """Codes of (x * m1 + (acc + bias) * m2) / 2**shift; x and acc are [R, n], the constants [n]."""
    start = shared(start, stop, team)
    n = x.shape[1]
    total = np.empty(n, np.int64)
    for row in range(start, stop):
        stream, branch = x[row], acc[row]
        for j in range(n):
            total[j] = stream[j] * m1[j] + (branch[j] + bias[j]) * m2[j]
        encode_by_shift(total, shift, constants, codes[row])
    return 0


@jit
def look_up(
    start: int,
    stop: int,
    team: int,
    acc: Any,
    bias: Any,
    mantissa: Any,
    shift: Any,
    constants: Any,
    table: Any,
    codes: Any,
) -> int:
    """Rescale to the code of a table's index, and put the entry at that index."""
    start = shared(start, stop, team)
    n = acc.shape[1]
    product, index = np.empty(n, np.int64), np.empty(n, np.int64)
    for row in range(start, stop):
        out = codes[row]
        rescaled(acc[row], bias, mantissa, shift, constants, product, index)
        for j in range(n):
            out[j] = table[index[j]]
    return 0
