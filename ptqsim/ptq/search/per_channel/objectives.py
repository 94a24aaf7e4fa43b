"""Objectives per channel: every column of an output is judged by itself (docs/calibration.md).

A column of the output depends on one column of the weight, and so on one scale. The squared error and the Hessian
guided metric are sums over the columns; cosine, Pearson and the similarity of images are taken of each column.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ptqsim.kernels.calibration import channels
from ptqsim.ptq.search.objectives import Objective, Scores, correlation_distance, find_objective, is_constant

Columns = NDArray[Any]
"""Columns of an output, one a row: [number, rows of the output]."""


class Judged(NamedTuple):
    """Columns of a part of the output, judged.

    Attributes
    ----------
    sums : float64 array [P, k]
        Of which the score is made, added up over the parts.
    samples : float64 array [P, n]
        What rows, images or the whole part add to the score: candidates are compared by them.
    """

    sums: NDArray[np.float64]
    samples: NDArray[np.float64]


Judge = Callable[[Columns, NDArray[np.intp]], Judged]
"""From quantized columns [P, rows] and the channel of each to what is known of them."""


class ChannelObjective(NamedTuple):
    """An objective of single channels.

    Attributes
    ----------
    name : str
    additive : bool
        True if every part adds to the score, so that a partial one is a lower bound.
    prepare : callable
        From the exact columns [N, rows], their gradients or None, and the number of images to a `Judge`.
    score : callable
        From sums [P, k] to scores [P].
    resolution : float
        As of `Objective`.
    """

    name: str
    additive: bool
    prepare: Callable[[Columns, Columns | None, int], Judge]
    score: Callable[[NDArray[np.float64]], Scores]
    resolution: float


def per_channel(objective: Objective) -> ChannelObjective:
    """The objective of single channels that is meant by one of whole outputs."""
    additive = objective.additive
    score = (lambda sums: sums[:, 0]) if additive else objective.score
    return ChannelObjective(objective.name, additive, _PREPARE[objective.name], score, objective.resolution)


def _nothing(like: Columns) -> Columns:
    return np.empty((0, 0), like.dtype)


def _squares(exact: Columns, weight: Columns) -> Judge:
    def judge(columns: Columns, channel: NDArray[np.intp]) -> Judged:
        samples, total = np.empty(columns.shape), np.empty(len(columns))
        channels.squares(columns, channel, exact, weight, samples, total)
        return Judged(total[:, None], samples)

    return judge


def _squared_error(exact: Columns, grad: Columns | None, images: int) -> Judge:
    return _squares(exact, _nothing(exact))


def _weighted_error(exact: Columns, grad: Columns | None, images: int) -> Judge:
    if grad is None:
        raise ValueError(
            "the Hessian guided metric needs output gradients, and none were captured: capture with "
            "gradient='pseudo_label' (or 'sampled', 'released', 'random')"
        )
    return _squares(exact, grad)


def _correlation(score: Callable[[NDArray[np.float64]], Scores]) -> Callable[[Columns, Columns | None, int], Judge]:
    def prepare(exact: Columns, grad: Columns | None, images: int) -> Judge:
        every, rows = np.arange(len(exact)), exact.shape[1]
        sum_o, square_o, _ = _moments(exact, every, _nothing(exact), exact, rows)[..., 0]

        def judge(columns: Columns, channel: NDArray[np.intp]) -> Judged:
            sum_h, square_h, dot = _moments(columns, channel, _nothing(exact), exact, rows)[..., 0]
            count = np.full(len(columns), float(rows))
            sums = np.stack((dot, sum_h, square_h, sum_o[channel], square_o[channel], count), axis=1)
            return Judged(sums, score(sums)[:, None])

        return judge

    return prepare


def _similarity(exact: Columns, grad: Columns | None, images: int) -> Judge:
    """Of every image one minus the correlation of its values in the column (Liu et al. Eq. 12)."""
    of_images = exact.reshape(len(exact), images, -1)
    centered = of_images - of_images.mean(axis=2, keepdims=True)
    centered[is_constant(torch.from_numpy(of_images)).numpy()] = 0.0
    flat, count = np.ascontiguousarray(centered.reshape(exact.shape)), of_images.shape[2]
    square_o = _moments(flat, np.arange(len(exact)), _nothing(exact), flat, count)[1]

    def judge(columns: Columns, channel: NDArray[np.intp]) -> Judged:
        error, square_error, along = _moments(columns, channel, exact, flat, count)
        samples = correlation_distance(square_o[channel], error, square_error, along, count)
        return Judged(samples.sum(axis=1, keepdims=True), samples)

    return judge


def _moments(
    columns: Columns, channel: NDArray[np.intp], less: Columns, along: Columns, length: int
) -> NDArray[np.float64]:
    """Sums of d, d^2 and d z of every unit of some columns, [3, P, units]."""
    out = np.empty((3, len(columns), columns.shape[1] // length))
    channels.moments(columns, channel, less, along, length, out)
    return out


_PREPARE: Final[dict[str, Callable[[Columns, Columns | None, int], Judge]]] = {
    "mse": _squared_error,
    "hessian": _weighted_error,
    "cosine": _correlation(find_objective("cosine").score),
    "pearson": _correlation(find_objective("pearson").score),
    "similarity": _similarity,
}
