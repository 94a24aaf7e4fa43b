"""Arrays of codes, and the way between them and reals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.errors import ArgumentTypeError
from ptqsim.formats.arrays.given import as_array, as_integers
from ptqsim.kernels.codes import codec
from ptqsim.kernels.runtime import threads as _threads
from ptqsim.kernels.runtime.environment import in_default_environment as in_default_environment

KernelConstants: TypeAlias = tuple[tuple[Any, ...], tuple[Any, ...]]
"""Arguments of a kernel for a format, in the type of the data: its grid and its rounding."""


class Rounder(NamedTuple):
    """A kernel of `ptqsim.kernels.codes.grid`, what it needs of a format, and the largest magnitude of any code."""

    kernel: Callable[..., int]
    constants: KernelConstants
    largest: float


_CODES: Final = np.dtype(np.uint8), np.dtype(np.uint16)
_LARGEST = {np.dtype(kind): np.finfo(kind).max for kind in (np.float32, np.float64)}

Scalar = TypeVar("Scalar", bound=np.generic)


def dtype_for(bits: int) -> np.dtype[np.uint8] | np.dtype[np.uint16]:
    """uint8 for codes of up to 8 bits, uint16 above."""
    return _CODES[0] if bits <= 8 else _CODES[1]


def checked(codes: ArrayLike, bits: int) -> NDArray[Any]:
    """`codes` as an array of `dtype_for(bits)`, if each of them is an integer that fits `bits` bits.

    Raises
    ------
    TypeError
        If they are not integers.
    ValueError
        If one is negative or above 2**bits - 1.
    """
    array = as_integers("codes", codes, f"unsigned integers of {bits} bits")
    if array.dtype == dtype_for(bits) and bits == 8 * array.itemsize:
        return array  # the type can hold nothing else
    highest = (1 << bits) - 1
    if array.size and (array.max() > highest or array.min() < 0):
        wrong = (array > highest) | (array < 0)
        first = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"codes of {bits} bits go from 0 to {highest}, got {int(array[first])} at index {first} "
            f"({int(wrong.sum())} of {array.size} are out of range)"
        )
    return array.astype(dtype_for(bits), copy=False)


def look_up(codes: NDArray[Any], table: NDArray[Scalar]) -> NDArray[Scalar]:
    """``table[codes]`` for codes that are known to be in range."""
    codes = np.ascontiguousarray(codes).reshape(codes.shape)
    out = np.empty(codes.shape, table.dtype)
    _threads.run(codec.look_up, codes.size, _threads.GRAIN, codes.reshape(-1), table, out.reshape(-1))
    return out


def as_reals(real: ArrayLike) -> NDArray[Any]:
    """`real` as a C-contiguous float32 or float64 array: the type in which it will be divided and rounded."""
    if type(real) is np.ndarray and real.dtype in _LARGEST and real.flags.c_contiguous:
        return real
    array = as_array("reals", real)
    if array.dtype.kind in "uib":
        array = array.astype(np.float64)
    elif array.dtype == np.float16:
        array = array.astype(np.float32)
    elif array.dtype not in (np.float32, np.float64):
        raise ArgumentTypeError(
            f"reals must be float16, float32, float64, integers or booleans, got an array of {array.dtype}; "
            "convert it to float32 or float64 first"
        )
    return np.ascontiguousarray(array).reshape(array.shape)


def in_type(dtype: np.dtype[Any], scale: float, name: str = "scale") -> Any:
    """`scale` in the float type `dtype`.

    Raises
    ------
    ValueError
        If it over- or underflows there.
    """
    with np.errstate(over="ignore", under="ignore"):
        cast = dtype.type(scale)
    limits = np.finfo(dtype)
    if not limits.tiny <= cast <= limits.max:
        raise ValueError(
            f"{name} {scale!r} is outside the normal range of {dtype}, the type of the data "
            f"({limits.tiny:.3g} to {limits.max:.3g}); give the data as float64"
        )
    return cast


def step_in_type(dtype: np.dtype[Any], scale: float) -> Any:
    """Factor that turns an integer into a real of type `dtype`, rounded once as in `decode`.

    `scale` in that type if it is exact there, as every scale that calibration chooses is in float32; else in float64.
    """
    cast = dtype.type(scale)
    return cast if float(cast) == scale else np.float64(scale)


def encode(kernel: Callable[..., int], real: NDArray[Any], bits: int, constants: KernelConstants) -> NDArray[Any]:
    """Run an encoder over `real`; the arguments and errors are those of `run`."""
    return run(kernel, real, constants, np.empty(real.shape, dtype_for(bits)))


def room(real: NDArray[Any], out: NDArray[Any] | None) -> NDArray[Any]:
    """`out`, or a new array if it is None, for what becomes of `real`.

    Raises
    ------
    TypeError
        If it is no plain array, or of another type than `real`.
    ValueError
        If it is not C-contiguous, of another shape than `real`, or cannot be written to.
    """
    if out is None:
        return np.empty(real.shape, real.dtype)
    legal = (
        f"out must be a C-contiguous array of {real.dtype} and of shape {real.shape} that can be written to, as the "
        "values are rounded in that type"
    )
    if type(out) is not np.ndarray:
        raise ArgumentTypeError(f"{legal}; got a {type(out).__name__}")
    if out.dtype != real.dtype:
        raise ArgumentTypeError(f"{legal}; got an array of {out.dtype} of shape {out.shape}")
    if not (out.shape == real.shape and out.flags.c_contiguous and out.flags.writeable):
        raise ValueError(f"{legal}; got an array of {out.dtype} of shape {out.shape}")
    return out


def apart(real: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
    """`real`, or a copy if `out` begins elsewhere in its memory: a value would be written before it is read."""
    in_place = real.ctypes.data == out.ctypes.data
    return real if in_place or not np.may_share_memory(real, out) else real.copy()


def representable(reals: NDArray[Any]) -> NDArray[Any]:
    """`reals`, if none of them is infinite, as what a code stands for can be in their type; else a ValueError."""
    if not np.isfinite(reals).all():
        raise ValueError(
            f"some values are rounded to ones beyond {np.finfo(reals.dtype).max:.3g}, the largest of {reals.dtype}; "
            "give the data as float64, or take a smaller scale"
        )
    return reals


def run(kernel: Callable[..., int], real: NDArray[Any], constants: KernelConstants, out: NDArray[Any]) -> NDArray[Any]:
    """``kernel(start, stop, real, grid, largest, rounding, out)``, with the constants of the grid and the rounding.

    Raises
    ------
    ValueError
        If a value is NaN or infinite.
    """
    grid, rounding = constants
    arguments = (real.reshape(-1), grid, _LARGEST[real.dtype], rounding, out.reshape(-1))
    if _threads.run(kernel, real.size, _threads.GRAIN, *arguments):
        raise _not_finite(real)
    return out


def finite(real: NDArray[Any]) -> NDArray[Any]:
    """`real`, if every value is finite; else the ValueError of `encode`."""
    if not np.isfinite(real).all():
        raise _not_finite(real)
    return real


def _not_finite(real: NDArray[Any]) -> ValueError:
    wrong = ~np.isfinite(real)
    if not wrong.any():  # they were overwritten: `out` was `real` itself
        return ValueError(
            f"some of {real.size} values are NaN or infinite; a quantizer takes finite values only: look for the layer "
            "that produced them"
        )
    first = tuple(int(i) for i in np.argwhere(wrong)[0])
    return ValueError(
        f"{int(wrong.sum())} of {real.size} values are NaN or infinite, the first is {real[first]} at index {first}; "
        "a quantizer takes finite values only: look for the layer that produced them"
    )
