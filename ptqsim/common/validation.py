"""Checks of single arguments, shared by every layer: each returns the value in its plain Python type, or raises.

A wrong type is an `ArgumentTypeError`, a wrong value a ``ValueError``.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TypeVar

import numpy as np

from ptqsim.errors import ArgumentTypeError, out_of_range

MIN_BITS, MAX_BITS = 2, 16
MAX_SEED = (1 << 32) - 1

Instance = TypeVar("Instance")


def checked_bits(bits: object, highest: int = MAX_BITS) -> int:
    """`bits` as a Python integer, if it is a legal code width."""
    return checked_integer("bits", bits, MIN_BITS, highest)


def checked_integer(what: str, value: object, lowest: int, highest: int, advice: str = "") -> int:
    """`value` as a Python integer, if it is one in the given range."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not lowest <= value <= highest:
        raise out_of_range(what, value, lowest, highest, advice)
    return int(value)


def checked_bool(what: str, value: object) -> bool:
    """`value` as a Python bool, if it is True or False."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise ArgumentTypeError(f"{what} must be True or False, got {value!r} of type {type(value).__name__}")


def checked_seed(seed: object) -> int:
    """`seed` as a Python integer, if every generator of random numbers takes it."""
    return checked_integer("seed", seed, 0, MAX_SEED)


def checked_path(what: str, path: object) -> Path:
    """`path` as a Path; what is no path is an `ArgumentTypeError`, an empty one a ValueError."""
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str):
        raise ArgumentTypeError(f"{what} is {path!r}; legal is a path: a string or a pathlib.Path")
    if not os.fspath(path):
        raise ValueError(f"{what} is empty; legal is the name of a file or folder ('.' is this one)")
    return Path(path)


def checked_scale(scale: object, name: str = "scale") -> float:
    """`scale` as a float, if it is finite and positive."""
    refusal = f"{name} must be one finite positive number, got {scale!r}"
    try:
        if isinstance(scale, bool | str | bytes | np.ma.MaskedArray) or getattr(scale, "ndim", False):
            raise TypeError
        if str(getattr(scale, "dtype", "")).endswith("bool"):  # of NumPy, or of a tensor
            raise TypeError
        value = float(scale)  # type: ignore[arg-type]
    except TypeError:
        raise ArgumentTypeError(refusal) from None
    except (ValueError, OverflowError):
        raise ValueError(refusal) from None
    if not (math.isfinite(value) and value > 0):
        raise ValueError(
            f"{name} must be finite and positive, got {value!r}; an all-zero tensor has no scale of its own: "
            "give it any positive one"
        )
    return value


def checked_type(what: str, value: object, kind: type[Instance], advice: str = "") -> Instance:
    """`value`, if it is an instance of `kind`."""
    if isinstance(value, kind):
        return value
    article = "an" if kind.__name__[0] in "AEIOU" else "a"
    raise ArgumentTypeError(
        f"{what} must be {article} {kind.__name__}, got {value!r} of type {type(value).__name__}"
        f"{'; ' + advice if advice else ''}"
    )
