"""The real factor of a requantization: one, or one for each channel."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.common.validation import checked_scale
from ptqsim.errors import ArgumentTypeError
from ptqsim.formats.arrays.given import as_array
from ptqsim.formats.base import NumberFormat


def requantization_factor(
    scale: ArrayLike, number_format: NumberFormat, shape: tuple[int, ...]
) -> float | NDArray[np.float64]:
    """The factor scale / number_format.scale, or one for each channel, broadcasting against the shape."""
    given: Any = scale
    scales = given if isinstance(given, np.ndarray | list | tuple) and np.ndim(given) else checked_scale(given)
    if not isinstance(scales, float):
        scales = as_array("scale", scales)
        if scales.dtype.kind not in "iuf":
            raise ArgumentTypeError(f"scale must be a real number, or an array of them, got one of {scales.dtype}")
        if not (np.isfinite(scales) & (scales > 0)).all():
            raise ValueError(f"scale must be finite and positive everywhere, got values down to {scales.min()!r}")
        if len(scales.shape) > len(shape) or any(
            n not in (1, size) for n, size in zip(scales.shape[::-1], shape[::-1], strict=False)
        ):
            raise ValueError(
                f"scale {scales.shape} does not broadcast to acc {shape}; legal is MatmulResult.scale of that product"
            )
    with np.errstate(over="ignore", under="ignore"):
        factor = np.asarray(scales / number_format.steps, np.float64)
    wrong = ~((factor >= sys.float_info.min) & (factor <= sys.float_info.max))
    if wrong.any():
        both = np.broadcast_arrays(scales, number_format.steps)
        one, step = (float(each[wrong][0]) for each in both)
        raise ValueError(
            f"{'a' if factor.ndim else 'the'} factor scale / number_format.scale = {one!r} / {step!r} is "
            f"outside the normal range of float64 ({sys.float_info.min:.3g} to {sys.float_info.max:.3g}); give scales "
            "that are closer together"
        )
    return float(factor) if factor.ndim == 0 else factor
