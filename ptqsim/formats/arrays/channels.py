"""Scales per channel: one for each column or row of an array of codes (docs/formats.md)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.common.validation import checked_integer
from ptqsim.errors import ArgumentTypeError
from ptqsim.formats.arrays.given import as_array

AXES: Final = {-1: "columns", -2: "rows"}
"""Name of each axis of codes [..., rows, columns]."""


def checked_axis(axis: object) -> int:
    """`axis` as a Python integer, if it is -1 or -2."""
    return checked_integer("axis", axis, -2, -1, "-1 is a scale per column, -2 per row, None one for all")


def checked_scales(scale: ArrayLike, axis: int) -> NDArray[np.float64]:
    """`scale` as a float64 vector in memory that nobody can write to, if all of it is finite and positive.

    Raises
    ------
    TypeError
        If it holds no real numbers.
    ValueError
        If it is no vector of 1 scale or more, or a scale is not finite and positive.
    """
    array = as_array("scale", scale)
    if array.dtype.kind not in "iuf":
        raise ArgumentTypeError(f"scale with axis={axis} must hold real numbers, got an array of {array.dtype}")
    if array.ndim != 1 or not array.size:
        raise ValueError(
            f"scale with axis={axis} must be a vector, one scale for each of the {AXES[axis]}, got the shape "
            f"{array.shape}; leave axis out for one scale"
        )
    scales = array.astype(np.float64)
    wrong = ~(np.isfinite(scales) & (scales > 0))
    if wrong.any():
        first = int(wrong.argmax())
        raise ValueError(
            f"every scale must be finite and positive, got {float(scales[first])!r} at index {first} "
            f"({int(wrong.sum())} of {scales.size} are not); an all-zero channel has no scale of its own: give it any "
            "positive one"
        )
    return np.frombuffer(scales.tobytes(), np.float64)


def broadcast(scales: NDArray[Any], axis: int) -> NDArray[Any]:
    """The vector, shaped to broadcast against codes: [columns], or [rows, 1]."""
    return scales if axis == -1 else scales[:, None]


def check_shape(what: str, shape: tuple[int, ...], scales: NDArray[Any], axis: int) -> None:
    """Refuse an array whose axis has another length than the scales."""
    if len(shape) < -axis or shape[axis] != len(scales):
        raise ValueError(
            f"{what} of shape {shape} do not fit {len(scales)} scales along axis {axis}; legal is a scale for each of "
            f"the {AXES[axis]}: [..., {len(scales)}{']' if axis == -1 else ', K]'}"
        )


def moved(
    shape: tuple[int, ...], axis: int, move: Callable[[NDArray[Any]], NDArray[Any]]
) -> tuple[NDArray[np.intp], int | None]:
    """The channels, and their axis, after codes of a shape were moved: the axis is None if one channel is left.

    Raises
    ------
    ValueError
        If the channels would be spread over several axes, or along another one than the last two.
    """
    numbers = np.arange(shape[axis])
    channel = np.asarray(move(np.broadcast_to(broadcast(numbers, axis), shape)))
    if not channel.size:
        return numbers[:1], None
    if (channel == channel.flat[0]).all():
        return channel.reshape(-1)[:1], None
    for new in AXES:
        if channel.ndim < -new:
            continue
        own = channel.reshape(-1, *channel.shape[new:])[0]
        vector = own if new == -1 else own[:, 0]
        if (channel == broadcast(vector, new)).all():
            return vector, new
    raise ValueError(
        f"codes of shape {shape} have a scale along axis {axis}, which would be spread over other axes in the shape "
        f"{channel.shape}; legal is what leaves all of a channel in one row or column: take q.codes, or q.dequantize()"
    )


def described(scales: NDArray[Any]) -> str:
    """The vector in few characters."""
    return f"{len(scales)} from {scales.min():.3g} to {scales.max():.3g}"


def listed(scales: NDArray[Any]) -> str:
    """The vector on one line, the middle of a long one left out."""
    return np.array2string(scales, separator=", ", threshold=8, max_line_width=math.inf)  # type: ignore[arg-type]
