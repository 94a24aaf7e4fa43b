"""Codes of exact quotients in an ONNX graph: `ptqsim.units.reference.target`, node by node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ptqsim.formats.base import NumberFormat
from ptqsim.formats.log2 import Log2
from ptqsim.formats.rounding import RangeChoice
from ptqsim.formats.twin import TwinGELU, TwinSoftmax
from ptqsim.ptq.onnx_export.integer.values import Given, Value
from ptqsim.units.target import zero_point_of

Rounded: TypeAlias = Callable[[Value, int, int], Value]
"""The quotient by the divisor times ``2**m``, rounded; the third argument is 1 where a half goes down."""

_ROOT_STEPS = 6
"""Newton's steps from 2 d to the floor of sqrt(2) d, for d below 2**31: errors of 0.41, 0.061, 1.8e-3, 1.6e-6,
1.2e-12 and then below one unit, relatively to d, and one more step."""


def code_by_shift(n: Value, shift: int | Sequence[int] | Value, fmt: NumberFormat) -> Value:
    """The code of ``n / 2**shift``: one shift, one per channel, or a value that is not negative."""
    if isinstance(shift, Value):
        divisor: Given = shift.power()
    else:
        shifts = np.atleast_1d(np.asarray(shift, np.int64))
        left, right = np.maximum(-shifts, 0), np.maximum(shifts, 0)
        n = n if not left.any() else n * np.left_shift(1, left)
        divisor = np.left_shift(1, right)

    def rounded(numerator: Value, m: int, down: int) -> Value:
        by = divisor * (1 << m)
        half = by.over(2) if isinstance(by, Value) else by >> 1
        if down:
            half = half - (half > 0).where(1, 0) if isinstance(half, Value) else half - (half > 0)
        return (numerator + half).down(by)

    return _code(n, divisor, rounded, fmt)


def code_by_quotient(n: Value, divisor: Value, fmt: NumberFormat) -> Value:
    """The code of ``n / divisor`` for integers that are not negative, and positive divisors."""

    def rounded(numerator: Value, m: int, down: int) -> Value:
        by = divisor * (1 << m) if m else divisor
        nudged = numerator * 2 + by
        return (nudged - 1 if down else nudged).over(by * 2)

    return _code(n, divisor, rounded, fmt)


def _code(n: Value, divisor: Given, rounded: Rounded, fmt: NumberFormat) -> Value:
    top, flag, m = (1 << (fmt.bits - 1)) - 1, 1 << (fmt.bits - 1), fmt.shift
    down = int(getattr(fmt, "range_choice", None) == RangeChoice.NEAREST)
    if isinstance(fmt, Log2):
        return _power(n, divisor, fmt.code_count - 1)
    if isinstance(fmt, TwinGELU):
        positive = rounded(n.most(0), m, down).least(top)
        negative = (-rounded(n.least(0), 0, 0)).least(top)
        return (n < 0).where(negative, (positive > 0).where(positive + flag, 0))
    if isinstance(fmt, TwinSoftmax):
        n = n.most(0)
        first, second = rounded(n, 0, down).least(top), rounded(n, m, down).least(top)
        if down:
            nearer = abs(n - second * (1 << m) * divisor) < abs(n - first * divisor)
            return nearer.where(second + flag, first)
        coarse = n.over(divisor) >= flag
        return coarse.where((second > top >> m).where(second + flag, second), first)
    clamped = rounded(n, 0, 0).most(fmt.aligned_min).least(fmt.aligned_max)
    return (clamped + zero_point_of(fmt)).masked(fmt.bits)


def _power(n: Value, divisor: Given, last: int) -> Value:
    """The code of the power of two nearest to a quotient on the logarithmic scale."""
    d = divisor if isinstance(divisor, Value) else n.graph.constant(np.asarray(divisor))
    positive = n.most(1)
    doublings = (d.bit_length() - positive.bit_length()).most(0)
    scaled = positive * doublings.power()
    short = (scaled < d).where(1, 0)
    scaled, doublings = scaled * (short + 1), doublings + short
    square = d * d * 2
    root = d * 2
    for _ in range(_ROOT_STEPS):
        root = root.least((root + square.over(root)).over(2))
    exponent = (doublings - (scaled > root).where(1, 0)).most(0).least(last)
    return (n > 0).where(exponent, last)


def aligned_table(fmt: NumberFormat) -> NDArray[np.int64]:
    """Value of every code, in units of the format's step."""
    return np.asarray(fmt.aligned_table(), np.int64)
