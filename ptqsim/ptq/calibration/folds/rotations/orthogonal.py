"""Orthogonal matrices that spread a few large channels over all, drawn by a seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptqsim.ptq.calibration.folds.rotations.hadamard import hadamard

Matrix = NDArray[np.float64]


def spreading(size: int, generator: np.random.Generator) -> Matrix:
    """A random orthogonal matrix [size, size].

    Where there is a Hadamard matrix H, it is D H / sqrt(size) with random signs D (QuaRot, Ashkboos et al., NeurIPS
    2024, arXiv 2404.00456): a row vector with one large channel becomes one of equal magnitudes.  Else it is the Q of a
    normal matrix.

    Parameters
    ----------
    size : int
    generator : numpy.random.Generator
        Source of the signs, or of the normal matrix.
    """
    signs = hadamard(size)
    if signs is not None:
        found: Matrix = signs * generator.choice([-1.0, 1.0], (size, 1)) / size**0.5
        return found
    q, r = np.linalg.qr(generator.normal(size=(size, size)))
    return q * np.sign(np.diag(r))


def with_mean_kept(matrix: Matrix) -> Matrix:
    """An orthogonal matrix close to the given one, by which the mean of a row vector stays: Q 1 = 1.

    It is M F, where F is the reflection that exchanges M^T e and e, e = 1 / sqrt(size) in all places, so that
    M F e = M M^T e = e.
    Where M is `spreading`, an element is 1 / sqrt(size) in magnitude, and changes by about 1 / size.
    """
    unit = np.full(len(matrix), len(matrix) ** -0.5)
    apart = matrix.T @ unit - unit
    square = apart @ apart
    if square < 1e-24:
        return matrix
    return matrix - np.outer(matrix @ apart, apart * (2 / square))
