"""Checks of single arguments, shared by every layer: each returns the value in its plain Python type, or raises."""

from __future__ import annotations

import math

import numpy as np

from ptqsim.errors import out_of_range

MIN_BITS, MAX_BITS = 2, 16


def checked_bits(bits: object, highest: int = MAX_BITS) -> int:
    """`bits` if it is a legal code width, else a ValueError."""
    return checked_integer("bits", bits, MIN_BITS, highest)


def checked_integer(what: str, value: object, lowest: int, highest: int, advice: str = "") -> int:
    """`value` as a Python integer if it is one in the given range, else a ValueError."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not lowest <= value <= highest:
        raise out_of_range(what, value, lowest, highest, advice)
    return int(value)


def checked_scale(scale: object, name: str = "scale") -> float:
    """`scale` as a float if it is finite and positive, else a ValueError."""
    try:
        if isinstance(scale, str | bytes | np.ma.MaskedArray) or getattr(scale, "ndim", False):
            raise TypeError
        value = float(scale)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be one finite positive number, got {scale!r}") from None
    if not (math.isfinite(value) and value > 0):
        raise ValueError(
            f"{name} must be finite and positive, got {value!r}; an all-zero tensor has no scale of its own: "
            "give it any positive one"
        )
    return value
