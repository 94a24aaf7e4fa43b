"""Error-compensated rounding within limits (docs/fitted_weights.md, compensation)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ptqsim.fitting.budgets import Budgets
from ptqsim.fitting.limits import RegisterLimits

Integers = NDArray[np.int64]
Reals = NDArray[np.float64]
_BLOCK: Final = 32
"""Rows after which the thresholds are found anew."""


def compensate(target: Reals, hessian: Reals, code_range: tuple[int, int], limits: RegisterLimits) -> Integers:
    """Codes that keep the limits, chosen row by row, each error made up for by the rows that are still to come.

    The rows are taken by falling diagonal of the Hessian, of equal ones the first.

    Parameters
    ----------
    target : float64 array [K, N]
        Weights in steps.
    hessian : float64 array [K, K]
        H, symmetric and positive definite.
    code_range : tuple of int
        Least and greatest aligned value of a code.
    limits : RegisterLimits
        The limits.

    Raises
    ------
    numpy.linalg.LinAlgError
        If H is not positive definite.
    """
    depth, columns = target.shape
    order = np.argsort(-np.diagonal(hessian), kind="stable")
    # Frantar et al. 2023 (GPTQ), section 3: the rows of the upper Cholesky factor of H^-1 say how an error spreads.
    inverse = np.linalg.inv(hessian[np.ix_(order, order)])
    spread = np.linalg.cholesky((inverse + inverse.T) / 2).T
    left = target[order]
    codes = np.zeros((depth, columns), np.int64)
    budgets = Budgets(limits, depth, columns)
    for at, row in enumerate(order):
        if at % _BLOCK == 0:
            positive, negative = budgets.thresholds(order[at:], left[at:])
            first = at
        wanted = left[at]
        shrunk = np.maximum(wanted - positive[at - first], 0) - np.maximum(-wanted - negative[at - first], 0)
        codes[row] = within(shrunk, budgets.range_of(row), code_range)
        budgets.spend(row, codes[row])
        error = (wanted - codes[row]) / spread[at, at]
        left[at + 1 :] -= np.multiply.outer(spread[at, at + 1 :], error)
    return codes


def descend(
    codes: Integers, target: Reals, hessian: Reals, code_range: tuple[int, int], limits: RegisterLimits, sweeps: int
) -> Integers:
    """Codes [K, N] improved one weight at a time, within the limits; the error of no column rises.

    A sweep gives every weight the code nearest to the minimum of (q - t)^T H (q - t) along it that the others leave
    room for.
    """
    codes = codes.copy()
    budgets = Budgets(limits, *codes.shape)
    for row in range(len(codes)):
        budgets.spend(row, codes[row])
    slope = hessian @ (codes - target)
    for _ in range(sweeps):
        moved = False
        for row in range(len(codes)):
            curvature = hessian[row, row]
            budgets.give_back(row, codes[row])
            best = within(codes[row] - slope[row] / curvature, budgets.range_of(row), code_range)
            change = best - codes[row]
            budgets.spend(row, best)
            if change.any():
                moved = True
                codes[row] = best
                slope += np.multiply.outer(hessian[:, row], change)
        if not moved:
            break
    return codes


def errors(codes: Integers, target: Reals, hessian: Reals) -> Reals:
    """(q - t)^T H (q - t) of every column, in squares of a step."""
    difference = codes - target
    return np.asarray((difference * (hessian @ difference)).sum(axis=0), np.float64)


def within(wanted: Reals, rests: tuple[Integers, Integers], code_range: tuple[int, int]) -> Integers:
    """The nearest integers, half to even, clamped to what is left and to the code range."""
    low, high = np.maximum(rests[0], code_range[0]), np.minimum(rests[1], code_range[1])
    return np.asarray(np.clip(np.rint(wanted), low, high), np.int64)
