"""Plain arrays, in native byte order, of the arguments of public functions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.errors import ArgumentTypeError


def as_array(what: str, given: ArrayLike) -> NDArray[Any]:
    """`given` as a plain array in the byte order of the machine; not copied if it is one.

    Raises
    ------
    ValueError
        If a value is masked: an array has no place for what is not there.
    """
    masked = _masked(given)
    if masked:
        raise ValueError(
            f"{what} must be a plain array, got a masked one with {masked} of its values masked; fill them first, as "
            "in array.filled(0), or leave them out, as in array.compressed()"
        )
    array = np.asarray(given)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def as_integers(what: str, given: ArrayLike, legal: str) -> NDArray[Any]:
    """`given` as a plain array of integers; an empty list, which numpy takes for floats, is an empty one of them.

    Raises
    ------
    TypeError
        If it holds anything but integers (booleans are none), with `legal` in the message.
    ValueError
        If a value is masked.
    """
    array = as_array(what, given)
    if array.size == 0 and array.dtype == np.float64:
        array = array.astype(np.int64)
    if array.dtype.kind not in "ui":
        raise ArgumentTypeError(f"{what} must be {legal}, got an array of {array.dtype}")
    return array


def _masked(given: Any) -> int:
    """Number of masked values in an array, or in the arrays of a list, however deep."""
    if type(given) is np.ndarray:
        return 0
    if isinstance(given, np.ma.MaskedArray):
        return int(np.ma.count_masked(given))  # type: ignore[no-untyped-call]
    if not isinstance(given, list | tuple):
        return 0
    kinds = set(map(type, given))  # most lists hold numbers alone, and this takes no loop of Python's
    if not any(issubclass(kind, np.ma.MaskedArray | list | tuple) for kind in kinds):
        return 0
    return sum(map(_masked, given))
