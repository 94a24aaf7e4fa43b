"""Codes of weights that no input can make overflow: the public function, and its refusals."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.common.validation import checked_integer, checked_type
from ptqsim.datapath.spec import Accumulator
from ptqsim.fitting.certificates import certificate, fits, register_widths
from ptqsim.fitting.compensation import compensate, descend, errors
from ptqsim.fitting.limits import RegisterLimits, register_limits
from ptqsim.fitting.projection import FRACTION, fixed_point, project
from ptqsim.formats.array import QuantizedArray
from ptqsim.formats.base import NumberFormat
from ptqsim.formats.uniform import Uniform

_MOST = 1 << (61 - FRACTION)


def fit_weights(
    weights: ArrayLike | QuantizedArray,
    a_format: NumberFormat,
    b_format: Uniform,
    accumulator: Accumulator,
    hessian: ArrayLike | None = None,
    *,
    sweeps: int = 4,
) -> QuantizedArray:
    """Weights as codes for which no input can overflow a register of an accumulator.

    Codes that fit without a change are kept. Else, without a Hessian, every column becomes the nearest codes that fit;
    with one, the codes that are chosen row by row with compensation of the error, or the nearest ones, both improved
    one weight at a time: whichever has the lesser error in its column (docs/fitted_weights.md).

    Parameters
    ----------
    weights : array_like [K, N] or QuantizedArray
        Real weights, one column for each output; or codes of `b_format` that a method has chosen, which are then the
        target.
    a_format : NumberFormat
        Shift-alignable format of the inputs.
    b_format : Uniform
        Format of the weights.
    accumulator : Accumulator
        The datapath; its overflow mode does not matter.
    hessian : array_like [K, K], optional
        X^T X of calibration inputs X [rows, K], symmetric and positive definite: add a little to its diagonal.
    sweeps : int, optional
        Sweeps of improvement at most, 0 to 1000; without a Hessian there are none.

    Returns
    -------
    QuantizedArray

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If the accumulator leaves a column no weight but 0, if weights with a zero point are corrected, or if an array
        has the wrong shape or is not finite.
    """
    checked_type("a_format", a_format, NumberFormat)
    checked_type("b_format", b_format, Uniform, "weights that are fitted are uniform")
    checked_type("accumulator", accumulator, Accumulator)
    sweeps = checked_integer("sweeps", sweeps, 0, 1000)
    nearest = nearest_codes(weights, b_format)
    limits = register_limits(a_format, b_format, accumulator)
    if fits(a_format, nearest, accumulator):
        return nearest
    codes = nearest.aligned()
    _check_room(nearest, a_format, accumulator, limits)
    given = isinstance(weights, QuantizedArray)
    steps = codes.astype(np.float64) if given else np.asarray(weights, np.float64) / b_format.steps
    if codes.size and len(codes) * max(b_format.aligned_max, -b_format.aligned_min) * (2 << b_format.bits) > _MOST:
        raise ValueError(
            f"weights of {b_format.bits} bits at depth {len(codes)} were to be fitted, whose distances take more than "
            "64 bits; take fewer bits"
        )
    projected = project(codes, fixed_point(steps, b_format.bits), limits)
    if hessian is not None:
        projected = _compensated(projected, steps, checked_hessian(hessian, len(codes)), b_format, limits, sweeps)
    return coded(projected, b_format)


def coded(aligned: NDArray[np.int64], b_format: Uniform) -> QuantizedArray:
    """Aligned values, which lie in the range of the format, as its codes."""
    mask = (1 << b_format.bits) - 1
    return QuantizedArray(((aligned + b_format.zero_point) & mask).astype(b_format.code_dtype), b_format)


def _compensated(
    projected: NDArray[np.int64],
    target: NDArray[np.float64],
    hessian: NDArray[np.float64],
    b_format: Uniform,
    limits: RegisterLimits,
    sweeps: int,
) -> NDArray[np.int64]:
    """The better of two in every column: rounded with compensation, and the nearest codes; both improved."""
    code_range = b_format.aligned_min, b_format.aligned_max
    found = [
        descend(start, target, hessian, code_range, limits, sweeps)
        for start in (compensate(target, hessian, code_range, limits), projected)
    ]
    first, second = (errors(codes, target, hessian) for codes in found)
    return np.where(first <= second, *found)


def nearest_codes(weights: ArrayLike | QuantizedArray, b_format: Uniform) -> QuantizedArray:
    """The codes that real weights [K, N] round to, or the codes given."""
    if isinstance(weights, QuantizedArray):
        if weights.format != b_format:
            raise ValueError(f"the weights are codes of {weights.format.short()}, not of {b_format.short()}")
        nearest = weights
    else:
        nearest = QuantizedArray(b_format.encode(weights), b_format)
    if nearest.ndim != 2:
        raise ValueError(f"weights must be [K, N], got the shape {nearest.shape}")
    return nearest


def checked_hessian(hessian: ArrayLike, depth: int) -> NDArray[np.float64]:
    """The Hessian [depth, depth], if it is symmetric and positive definite."""
    checked = np.asarray(hessian, np.float64)
    if checked.shape != (depth, depth):
        raise ValueError(f"the Hessian must be [{depth}, {depth}], got the shape {checked.shape}")
    if not np.isfinite(checked).all() or not np.allclose(checked, checked.T):
        raise ValueError("the Hessian must be finite and symmetric: give X^T X of finite inputs")
    try:
        np.linalg.cholesky(checked)
    except np.linalg.LinAlgError:
        raise ValueError(
            "the Hessian must be positive definite: add 1 % of the mean of its diagonal to the diagonal"
        ) from None
    return checked


def _check_room(
    nearest: QuantizedArray, a_format: NumberFormat, accumulator: Accumulator, limits: RegisterLimits
) -> None:
    """Refuse a fit that would leave nothing of a column: the message names it, and the widths that would do."""
    codes = nearest.aligned()
    up, down = limits.largest()
    positive, negative = np.asarray((codes > 0).any(axis=0)), np.asarray((codes < 0).any(axis=0))
    lost = np.flatnonzero((positive | negative) & ~(positive & (up > 0) | negative & (down > 0)))
    if not lost.size:
        return
    n = int(lost[0])
    sign = 1 if positive[n] else -1
    zero_point, count = nearest.format.zero_point, nearest.format.code_count
    unit = QuantizedArray(np.full((1, 1), (sign + zero_point) % count), nearest.format.unscaled())
    one, every = certificate(a_format, unit, accumulator), certificate(a_format, nearest, accumulator)
    widths = register_widths(accumulator)
    name = next(name for name, bits in widths.items() if one[name].bits > bits)
    per_output = every[name].per_output
    assert per_output is not None
    register = "register" if name == "accumulator" else "tile register"
    raise ValueError(
        f"output channel {n} cannot be fitted: inputs of {a_format.short()} leave it no weight but 0 in a "
        f"{register} of {widths[name]} bits; legal is one of {one[name].bits} bits or more, which holds a "
        f"weight of {sign}, and {per_output[n]} bits would hold its weights as they are"
    )
