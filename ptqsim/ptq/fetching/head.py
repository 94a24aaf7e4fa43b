"""A linear head by logistic regression, to the last bit."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

GRID: Final = 2**-16
"""Weights are rounded to multiples of this, which is far above what another order of summation changes."""

_STEPS: Final = 100
_ENOUGH: Final = 1e-9  # largest element of the gradient
_RESIDUAL: Final = 1e-3  # of a step's linear system, relative to its right-hand side


def fit_head(features: Matrix, labels: NDArray[np.int64], *, inverse_penalty: float) -> dict[str, Matrix]:
    """Multinomial logistic regression with a quadratic penalty on the weights, none on the biases.

    The loss is strictly convex, and Newton's method finds its minimum to about 1e-10: what it began with, and how a
    processor orders its sums, is gone after the rounding to ``GRID``.

    Parameters
    ----------
    features : float64 array [N, D]
    labels : int64 array [N]
        Class of each row, 0 to K - 1.
    inverse_penalty : float
        C of scikit-learn: the loss is ``sum of cross-entropies + |W|**2 / (2 C)``.

    Returns
    -------
    dict of str to float64 array
        Weights [K, D] as ``head.weight``, biases [K] as ``head.bias``.

    Raises
    ------
    ValueError
        Where the minimum is not found, as for features that are not finite.
    """
    center, scale = features.mean(axis=0), float(features.std())
    x = np.hstack([(features - center) / scale, np.ones((len(features), 1))])
    target = np.eye(int(labels.max()) + 1)[labels]
    penalty = np.full((x.shape[1], 1), 1 / (inverse_penalty * scale**2))
    penalty[-1] = 0
    w = np.zeros((x.shape[1], target.shape[1]))
    slope, p = _slope(x, target, penalty, w)
    for _ in range(_STEPS):
        size = np.abs(slope).max()
        if size < _ENOUGH:
            break
        step, length = _newton_step(x, p, penalty, slope), 1.0
        while length > _ENOUGH:
            tried = w - length * step
            new_slope, new_p = _slope(x, target, penalty, tried)
            if np.abs(new_slope).max() < size:
                w, slope, p = tried, new_slope, new_p
                break
            length /= 2
        else:
            break
    if not np.abs(slope).max() < 1e3 * _ENOUGH:
        raise ValueError("the head's loss has no minimum that can be found: the features are not finite, or too large")
    exact = {"head.weight": w[:-1].T / scale, "head.bias": w[-1] - (center / scale) @ w[:-1]}
    return {name: np.rint(value / GRID) * GRID for name, value in exact.items()}


def _slope(x: Matrix, target: Matrix, penalty: Matrix, w: Matrix) -> tuple[Matrix, Matrix]:
    """Gradient of the loss, and probabilities [N, K]."""
    logits = x @ w
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return x.T @ (p - target) + penalty * w, p


def _newton_step(x: Matrix, p: Matrix, penalty: Matrix, slope: Matrix) -> Matrix:
    """Solution of ``H step = slope`` by conjugate gradients.

    The Hessian is singular only in the direction of one bias for all classes, in which the gradient has no part.
    """

    def product(v: Matrix) -> Matrix:
        q = p * (x @ v)
        result: Matrix = x.T @ (q - p * q.sum(axis=1, keepdims=True)) + penalty * v
        return result

    step, rest = np.zeros_like(slope), slope.copy()
    direction, square = rest.copy(), float((rest * rest).sum())
    enough = square * _RESIDUAL**2
    for _ in range(slope.size):
        if square <= enough:
            break
        image = product(direction)
        length = square / float((direction * image).sum())
        step += length * direction
        rest -= length * image
        last, square = square, float((rest * rest).sum())
        direction = rest + square / last * direction
    return step
