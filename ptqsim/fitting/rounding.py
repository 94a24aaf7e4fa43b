"""Rounding of weights with compensation of the error, without a register to fit."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from ptqsim.common.validation import checked_integer, checked_type
from ptqsim.fitting.compensation import compensate, descend
from ptqsim.fitting.fit import checked_hessian, coded, nearest_codes
from ptqsim.fitting.limits import Limit, RegisterLimits
from ptqsim.formats.array import QuantizedArray
from ptqsim.formats.uniform import Uniform

_NO_LIMITS: Final = RegisterLimits((Limit(1, 1, 1 << 40),))


def round_weights(weights: ArrayLike, b_format: Uniform, hessian: ArrayLike, *, sweeps: int = 0) -> QuantizedArray:
    """Weights as codes, rounded row by row, the error of each row made up for by those that are still to come.

    Rows are taken by falling diagonal of the Hessian, of equal ones the first (GPTQ, Frantar et al., ICLR 2023, section
    3, with its act-order option).  The error is ``(q - w)^T H (q - w)`` of every column; with H = X^T X it is that of
    the products X q.

    Parameters
    ----------
    weights : array_like [K, N]
        Real weights, one column for each output.
    b_format : Uniform
        Their format, of one scale or of one per column.
    hessian : array_like [K, K]
        H, symmetric and positive definite: add a little to the diagonal of X^T X.
    sweeps : int, optional
        Sweeps of coordinate descent that follow, 0 to 1000, which GPTQ has not.

    Returns
    -------
    QuantizedArray

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If an array has the wrong shape or is not finite, or the Hessian is not positive definite.
    """
    checked_type("b_format", b_format, Uniform, "weights that are rounded with compensation are uniform")
    sweeps = checked_integer("sweeps", sweeps, 0, 1000)
    nearest = nearest_codes(weights, b_format)
    matrix = checked_hessian(hessian, len(nearest.codes))
    target = np.asarray(weights, np.float64) / b_format.steps
    code_range = b_format.aligned_min, b_format.aligned_max
    codes = compensate(target, matrix, code_range, _NO_LIMITS)
    return coded(descend(codes, target, matrix, code_range, _NO_LIMITS, sweeps), b_format)
