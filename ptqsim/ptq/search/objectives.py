"""Distances of a quantized output from the exact one, per group; lower is better.

An objective is a few sums over the output and a score made from them, so that the search can add them up part by
part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from ptqsim.errors import unknown_name
from ptqsim.ptq.search.capture import OperationData
from ptqsim.ptq.search.outputs.sums import moments, weighted_squares

Sums = NDArray[np.float64]
"""[G, number of sums]."""
Scores = NDArray[np.float64]
"""[G]."""
RESOLUTION: Final = 2.0**-40
"""Of scores that are 1 less a correlation; what rounding leaves of their sums is less."""
_CONSTANT: Final = 2.0**-20  # of the magnitude: eight units in the last place of a float32
Summer = Callable[[torch.Tensor], Sums]
"""From a quantized output [G, ..., M, N] to its sums."""
UnitSummer = Callable[[torch.Tensor], NDArray[np.float64]]
"""The same for a score that is a sum over units (rows, or images): to what each unit adds, [G, units]."""


@dataclass(frozen=True)
class Objective:
    """An objective that a search minimizes.

    Attributes
    ----------
    name : str
    prepare : callable
        From (a part of) the captured data to the function that takes the sums of a quantized output.
    score : callable
        From sums, added over all parts, to a score per group.
    per_image : bool
        Parts must hold whole images.
    units : callable or None
        Of a score that is a sum over rows or images, none of which takes from it, so that a partial one is a lower
        bound: from (a part of) the captured data to the function that takes what each of them adds.
    mean : bool
        Called for one output, give the mean over its elements; a search compares sums, whose order is the same.
    resolution : float
        Where no two candidates differ by more, they differ by the rounding of the score alone, and it can't tell them
        apart: where an output is another times a factor, say, and the score is made from their correlation.
    """

    name: str
    prepare: Callable[[OperationData], Summer]
    score: Callable[[Sums], Scores]
    per_image: bool = False
    units: Callable[[OperationData], UnitSummer] | None = None
    mean: bool = False
    resolution: float = 0.0

    @property
    def additive(self) -> bool:
        """True if every part adds to the score."""
        return self.units is not None

    def __call__(self, data: OperationData, out_hat: torch.Tensor) -> Scores:
        """Score of one quantized output [G, ..., M, N]."""
        score = self.score(self.prepare(data)(out_hat))
        return score / data.out[0].numel() if self.mean else score


def additive(
    name: str, units: Callable[[OperationData], UnitSummer], per_image: bool = False, resolution: float = 0.0
) -> Objective:
    """An objective that is the sum over its units; its sums are what each of them adds."""
    return Objective(name, units, lambda sums: sums.sum(axis=1), per_image, units, resolution=resolution)


def _squared_error(data: OperationData) -> UnitSummer:
    sums = moments(data.out, data.out, data.out.shape[1])
    return lambda out_hat: sums(out_hat)[1]


def _weighted_error(data: OperationData) -> UnitSummer:
    if data.grad is None:
        raise ValueError(
            "the Hessian guided metric needs output gradients, and none were captured: capture with "
            "gradient='pseudo_label' (or 'sampled', 'released', 'random')"
        )
    sums = weighted_squares(data.out, data.grad, data.out.shape[1])  # (dL/dO)^2 (O_hat - O)^2, Eq. 7
    return lambda out_hat: sums(out_hat)[0]


def _moments(data: OperationData) -> Summer:
    sums_of = moments(None, data.out, 1)
    sum_o, square_o, _ = sums_of(data.out)[..., 0]
    count = np.full(len(data.out), float(data.out[0].numel()))

    def sums(out_hat: torch.Tensor) -> Sums:
        sum_h, square_h, dot = sums_of(out_hat)[..., 0]
        return np.stack((dot, sum_h, square_h, sum_o, square_o, count), axis=1)

    return sums


def _image_correlations(data: OperationData) -> UnitSummer:
    exact = images_of(data.out, data.images)
    centered = exact - exact.mean(dim=-1, keepdim=True)
    centered = centered.masked_fill(is_constant(exact)[..., None], 0.0)
    _, square_o, _ = moments(None, centered, data.images)(centered)
    sums = moments(exact, centered, data.images)
    count = exact.shape[-1]

    def distances(out_hat: torch.Tensor) -> NDArray[np.float64]:
        error, square_error, along = sums(images_of(out_hat, data.images))
        return correlation_distance(square_o, error, square_error, along, count)

    return distances


def correlation_distance(
    square_o: NDArray[np.float64],
    error: NDArray[np.float64],
    square_error: NDArray[np.float64],
    along: NDArray[np.float64],
    count: int,
) -> NDArray[np.float64]:
    """One minus the correlation Gamma of exact and quantized values (Liu et al. Eq. 12); 1 where one is constant.

    Parameters
    ----------
    square_o : float64 array
        Sum of squares of the exact values, centered.
    error, square_error, along : float64 array
        Sums of the error d, of d^2, and of d times the centered exact value.
    count : int
        Number of values.
    """
    variance = np.maximum(square_error - error**2 / count, 0)  # of the error, times the count
    square_h = square_o + 2 * along + variance
    squares = square_o * square_h
    # 1 - Gamma from 1 - Gamma^2, which the error gives to its last digits where Gamma is nearly 1 (Eq. 12)
    squares_or_one = np.where(squares > 0, squares, 1.0)
    gamma = (square_o + along) / np.sqrt(squares_or_one)
    distance = (square_o * variance - along**2) / squares_or_one / (1 + np.maximum(gamma, 0))
    distance = np.where(gamma > 0, distance, 1 - gamma)
    found: NDArray[np.float64] = np.where(squares > 0, np.maximum(distance, 0), 1.0)
    return found


def images_of(out: torch.Tensor, images: int) -> torch.Tensor:
    """The values of each image in a row: [G, images, values]."""
    return out.reshape(out.shape[0], images, -1)


def is_constant(values: torch.Tensor) -> torch.Tensor:
    """Mark the rows of values [..., n] whose differences are the rounding of float32 products: [...]."""
    spread = values.amax(dim=-1) - values.amin(dim=-1)
    return spread <= _CONSTANT * values.abs().amax(dim=-1)


def _one_minus_cosine(sums: Sums) -> Scores:
    dot, _, square_h, _, square_o, _ = sums.T
    return _one_minus(dot, square_h * square_o)


def _one_minus_correlation(sums: Sums) -> Scores:
    dot, sum_h, square_h, sum_o, square_o, count = sums.T
    variances = _variance(sum_h, square_h, count) * _variance(sum_o, square_o, count)
    return _one_minus(dot - sum_h * sum_o / count, variances)


def _variance(total: Scores, square: Scores, count: Scores) -> Scores:
    """The variance times the count; zero where it is the rounding of a constant."""
    variance = square - total**2 / count
    return np.where(variance > _CONSTANT**2 * square, variance, 0.0)


def _one_minus(product: Scores, squares: Scores) -> Scores:
    """1 - product / sqrt(squares); an output without direction (all zero, or constant) gets the worst score, no NaN."""
    return 1.0 - np.divide(product, np.sqrt(np.maximum(squares, 0.0)), out=np.zeros_like(product), where=squares > 0)


# EasyQuant and Base PTQ: cosine (PTQ4ViT section 3.1).
# PTQ4ViT Fig. 5: pearson, of a whole layer. Liu et al. Eq. 11 and 12: similarity, the sum over the images of one minus
# their correlations. PTQ4ViT Eq. 7: hessian.
OBJECTIVES: Final[dict[str, Objective]] = {
    objective.name: objective
    for objective in (
        replace(additive("mse", _squared_error), mean=True),
        Objective("cosine", _moments, _one_minus_cosine, resolution=RESOLUTION),
        Objective("pearson", _moments, _one_minus_correlation, resolution=RESOLUTION),
        additive("similarity", _image_correlations, per_image=True, resolution=RESOLUTION),
        additive("hessian", _weighted_error),
    )
}


def find_objective(name: str) -> Objective:
    """The objective of that name; an unknown name is a ValueError that suggests the nearest."""
    if name not in OBJECTIVES:
        raise unknown_name("objective", name, OBJECTIVES)
    return OBJECTIVES[name]
