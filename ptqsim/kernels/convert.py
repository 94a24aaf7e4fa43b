"""Integers that a product left in a float type, into int64."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels._jit import jit


@jit
def to_int64(start: int, stop: int, floats: Any, small: bool, drop: int, out: Any) -> bool:
    """Convert [start, stop) and keep the low 64 - `drop` bits, sign included; whether that changed any.

    `small` says that all values are int32: more processors convert to those in one instruction.
    """
    changed = np.int64(0)
    for i in range(start, stop):
        value = np.int64(np.int32(floats[i])) if small else np.int64(floats[i])
        kept = (value << drop) >> drop
        changed |= kept ^ value
        out[i] = kept
    return bool(changed != 0)
