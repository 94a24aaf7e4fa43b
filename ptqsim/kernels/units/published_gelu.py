"""GELUs of I-ViT and I-BERT over rows of accumulators."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels.runtime.jit import jit
from ptqsim.kernels.runtime.team import shared
from ptqsim.kernels.units.elementwise import rescaled
from ptqsim.kernels.units.published_softmax import shift_exp
from ptqsim.kernels.units.softmax import greatest
from ptqsim.kernels.units.target import encode_by_shift


@jit
def pre_activations(
    acc: Any, bias: Any, mantissa: Any, shift: Any, constants: Any, aligned: Any, product: Any, values: Any
) -> None:
    """The integers that the codes of a row of accumulators stand for; `product` is room for as many."""
    rescaled(acc, bias, mantissa, shift, constants, product, values)
    for j in range(len(acc)):
        values[j] = aligned[values[j]]


@jit
def shift_gelu(
    start: int,
    stop: int,
    team: int,
    acc: Any,
    bias: Any,
    mantissa: Any,
    shift: Any,
    index_constants: Any,
    aligned: Any,
    inverse_step: int,
    exp_shift: int,
    sigmoid_bits: int,
    out_mantissa: int,
    out_shift: Any,
    constants: Any,
    codes: Any,
) -> int:
    """Codes of the GELU of acc [R, n] by I-ViT."""
    start = shared(start, stop, team)
    n = acc.shape[1]
    values, room = np.empty(n, np.int64), np.empty(n, np.int64)
    for row in range(start, stop):
        pre_activations(acc[row], bias, mantissa, shift, index_constants, aligned, room, values)
        for j in range(n):
            x = values[j]
            room[j] = x + (x >> 1) + (x >> 3) + (x >> 4)
        peak = greatest(room)
        of_zero = shift_exp(-peak, inverse_step, exp_shift)
        for j in range(n):
            exponential = shift_exp(room[j] - peak, inverse_step, exp_shift)
            total = exponential + of_zero
            sigmoid = ((exponential << (sigmoid_bits + 1)) + total) // (2 * total)
            room[j] = values[j] * sigmoid * out_mantissa
        encode_by_shift(room, out_shift, constants, codes[row])
    return 0


@jit
def i_gelu(
    start: int,
    stop: int,
    team: int,
    acc: Any,
    bias: Any,
    mantissa: Any,
    shift: Any,
    index_constants: Any,
    aligned: Any,
    vertex: int,
    constant: int,
    one: int,
    out_mantissa: int,
    out_shift: Any,
    constants: Any,
    codes: Any,
) -> int:
    """Codes of the GELU of acc [R, n] by I-BERT."""
    start = shared(start, stop, team)
    n = acc.shape[1]
    values, room = np.empty(n, np.int64), np.empty(n, np.int64)
    for row in range(start, stop):
        pre_activations(acc[row], bias, mantissa, shift, index_constants, aligned, room, values)
        for j in range(n):
            x = values[j]
            base = min(abs(x), -vertex) + vertex
            polynomial = base * base + constant
            erf = polynomial if x > 0 else -polynomial
            room[j] = -x * (erf + one) * out_mantissa
        encode_by_shift(room, out_shift, constants, codes[row])
    return 0
