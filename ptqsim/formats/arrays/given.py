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
        If a value is masked: an array has no place for what is not there. Also if the rows of a list differ in length.
    TypeError
        If NumPy has no array for it, as for a tensor of bfloat16, on a GPU or with a gradient.
    """
    masked = _masked(given)
    if masked:
        raise ValueError(
            f"{what} must be a plain array, got a masked one with {masked} of its values masked; fill them first, as "
            "in array.filled(0), or leave them out, as in array.compressed()"
        )
    try:
        array = np.asarray(given)
    except MemoryError:
        raise
    except Exception as error:  # of NumPy, or of the __array__ of whatever was given
        raise _no_array(what, given, error) from None
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


def _no_array(what: str, given: Any, error: Exception) -> ValueError | ArgumentTypeError:
    """The error for what NumPy makes no array of; tensors are told by their methods, as nothing here imports torch."""
    tensor = _first_tensor(given)
    if tensor is not None:
        kind = f"a {type(tensor).__name__} of {tensor.dtype} on {tensor.device}"
        gradient = " with a gradient" if getattr(tensor, "requires_grad", False) else ""
        return ArgumentTypeError(
            f"{what} must be an array that NumPy takes, got {kind}{gradient}; try tensor.detach().cpu().numpy(), of "
            "bfloat16 tensor.detach().cpu().float().numpy()"
        )
    if isinstance(given, list | tuple) and "inhomogeneous" in str(error):
        return ValueError(
            f"{what} must be an array, got a {type(given).__name__} whose entries differ in shape; give all rows the "
            "same length"
        )
    reason = str(error).partition("\n")[0]
    return ArgumentTypeError(
        f"{what} must be an array or a list of numbers, got a {type(given).__name__} that NumPy does not take "
        f"({reason}); convert it to a numpy array first"
    )


def _first_tensor(given: Any) -> Any:
    """A tensor, or the first one in a list, however deep; None where there is none."""
    if isinstance(given, list | tuple):
        return next((tensor for entry in given if (tensor := _first_tensor(entry)) is not None), None)
    return given if all(hasattr(given, name) for name in ("detach", "dtype", "device")) else None


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
