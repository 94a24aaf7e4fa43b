"""The requantizer: all of a 16-bit accumulator, every shift, every rounding.

The oracle is integer arithmetic of its own, in Python integers of any size: quotients by floor division of doubled
numbers, and for TFLite's two roundings gemmlowp's fixedpoint.h.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ptqsim import Requantizer, RequantizeRounding

ACC = np.arange(-(2**15), 2**15)
SIGN = np.where(ACC < 0, -1, 1).astype(object)
SHIFTS = range(-32, 95)
QUICK = [*range(-32, 95, 9), 30, 31, 32, 46, 62, 63]


def half_up(v: Any, unit: int) -> Any:
    return (2 * v + unit) // (2 * unit)


def half_even(v: Any, unit: int) -> Any:
    up, down = (2 * v + unit) // (2 * unit), -((-2 * v + unit) // (2 * unit))
    return np.where(up % 2 == 0, up, down)  # the same one, unless it is a tie


ROUNDED: dict[str, Callable[[Any, int], Any]] = {
    "half_away": lambda v, unit: SIGN * ((2 * abs(v) + unit) // (2 * unit)),
    "half_even": half_even,
    "half_up": half_up,
    "truncate": lambda v, unit: v // unit,
    "toward_zero": lambda v, unit: SIGN * (abs(v) // unit),
    "tflite_single": lambda v, unit: (v + unit // 2) // unit,
}


def gemmlowp(v: Any, exponent: int) -> Any:
    """SaturatingRoundingDoublingHighMul and RoundingDivideByPOT, with C's division, which is toward zero."""
    nudged = v + np.where(v >= 0, 1 << 30, 1 - (1 << 30)).astype(object)
    high = np.where(nudged < 0, -(-nudged // (1 << 31)), nudged // (1 << 31))
    mask = (1 << exponent) - 1
    threshold = (mask >> 1) + (high < 0).astype(object)
    return (high >> exponent) + ((high & mask) > threshold).astype(object)


def check(multiplier: int, shift: int, rounding: str) -> None:
    unit = Requantizer(multiplier, shift, rounding)
    v = ACC.astype(object) * multiplier
    if rounding == "tflite_double":
        left = max(0, 31 - shift)
        if 2**15 << left > 2**31:
            with pytest.raises(ValueError, match=r"works in int32|leave 63 bits"):
                unit.apply(ACC)
            return
        expected = gemmlowp(v << left, max(0, shift - 31))
    elif shift <= 0:
        expected = v << -shift
        if max(abs(expected)) >= 2**62:
            with pytest.raises(ValueError, match="leave 63 bits"):
                unit.apply(ACC)
            return
    else:
        expected = ROUNDED[rounding](v, 1 << shift)
    assert unit.apply(ACC).tolist() == expected.tolist()


@pytest.mark.parametrize("rounding", RequantizeRounding)
@pytest.mark.parametrize("shifts", [QUICK, pytest.param(SHIFTS, marks=pytest.mark.slow)], ids=["some", "every"])
def test_every_accumulator(shifts: Any, rounding: str) -> None:
    tflite = rounding.startswith("tflite")
    for shift in shifts:
        for multiplier in (2**30, 2**31 - 1) if tflite else (1, 2**31 - 1):
            check(multiplier, shift, rounding)
