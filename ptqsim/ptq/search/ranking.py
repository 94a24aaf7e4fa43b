"""The ranking-aware objective of Liu et al. (Eq. 10 and 11): attention scores should keep their order.

Eq. 10 compares every two columns of every row of A = Q K^T, w (w - 1) / 2 pairs of which the sign is that of the exact
scores.  Sorted by the exact scores, the first of two columns is always the one that should be the larger, so that the
pairs at distance d are one subtraction of two contiguous blocks, and no sign is stored.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ptqsim.kernels.calibration import ranking
from ptqsim.ptq.search.capture import OperationData
from ptqsim.ptq.search.objectives import (
    RESOLUTION,
    Objective,
    UnitSummer,
    additive,
    find_objective,
    images_of,
    is_constant,
)
from ptqsim.ptq.search.outputs.sums import is_plain


class _Sorted:
    """Exact scores [R, w], sorted by column within each row."""

    def __init__(self, exact: torch.Tensor) -> None:
        values, self.order = exact.sort(dim=-1, descending=True)
        self.values = values.T.contiguous() if bool((values[:, 1:] == values[:, :-1]).any()) else None

    def loss(self, scores: torch.Tensor, theta: float) -> torch.Tensor:
        """Eq. 10 of each row of ``scores`` [R, w]."""
        return self._by_kernel(scores, theta) if is_plain(scores) else self._by_torch(scores, theta)

    def _by_kernel(self, scores: torch.Tensor, theta: float) -> torch.Tensor:
        total = torch.empty(len(scores))
        exact = torch.empty((0, 0)) if self.values is None else self.values
        of_ties = np.float32(max(theta, 0.0))  # equal exact scores have sign 0, and Phi(0) = theta
        operands = scores.contiguous().numpy(), self.order.numpy(), exact.numpy()
        ranking.hinge_sums(0, len(total), *operands, np.float32(theta), of_ties, total.numpy())
        return total

    def _by_torch(self, scores: torch.Tensor, theta: float) -> torch.Tensor:
        ranked = scores.gather(1, self.order).T.contiguous()  # [w, R]
        wanted = ranked - theta  # what a lower place may reach without a loss
        total = torch.zeros(ranked.shape[1], dtype=ranked.dtype, device=ranked.device)
        buffer = torch.empty_like(ranked)
        for d in range(1, len(ranked)):
            # p stands d places before q: m = (A_p - A_q) sign(+), and Phi(m) = (theta - m)_+
            hinge = torch.sub(ranked[d:], wanted[:-d], out=buffer[d:]).clamp_(min=0)
            if self.values is not None:  # equal exact scores have sign 0, and Phi(0) = theta
                hinge = hinge.where(self.values[d:] != self.values[:-d], max(theta, 0.0))
            total += hinge.sum(dim=0)
        return total


def ranking_objective(gamma: float, theta: float) -> Objective:
    """Eq. 11: the similarity of each image, plus gamma times its ranking loss.

    The loss of an image is the mean over all pairs of a head, in units of the standard deviation of that head's exact
    scores, so that one gamma and one theta mean the same for every layer and image size.  The paper's is a plain sum,
    whose size grows with the fourth power of the number of patches, and it names neither gamma nor theta.
    """
    similarity = find_objective("similarity").units
    assert similarity is not None

    def units(data: OperationData) -> UnitSummer:
        correlations = similarity(data)
        exact = images_of(data.out, data.images)
        unordered = is_constant(exact)  # [G, images]: scores that are all the same have no order to keep
        unit = _standard_deviation(exact).masked_fill(unordered, 1.0)
        weight = gamma * (~unordered).double().cpu().numpy()
        width = data.out.shape[-1]
        rows = _Sorted((exact / unit[..., None]).reshape(-1, width))
        pairs = exact.shape[-1] * (width - 1) / 2

        def distances(out_hat: torch.Tensor) -> NDArray[np.float64]:
            scaled = (images_of(out_hat, data.images) / unit[..., None]).reshape(-1, width)
            loss = images_of(rows.loss(scaled, theta).reshape(exact.shape[0], -1), data.images).double().sum(dim=2)
            found: NDArray[np.float64] = weight * (loss.cpu().numpy() / max(pairs, 1)) + correlations(out_hat)
            return found

        return distances

    return additive("ranking", units, per_image=True, resolution=RESOLUTION)


def _standard_deviation(x: torch.Tensor) -> torch.Tensor:
    """Standard deviation of each row [..., n], whose squares neither overflow nor underflow: [...]."""
    exponent = torch.frexp(x.abs().amax(dim=-1)).exponent.clamp(-125, 125)
    one = torch.ones_like(exponent, dtype=x.dtype)
    scaled = x * torch.ldexp(one, -exponent)[..., None]  # by a power of two: no digit changes
    return scaled.std(dim=-1, correction=min(1, x.shape[-1] - 1)) * torch.ldexp(one, exponent)
