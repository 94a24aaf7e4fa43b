"""The objective of Liu et al. Eq. 11 against the loops of Eq. 10."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from ptqsim.ptq.search.capture import OperationData
from ptqsim.ptq.search.ranking import ranking_objective


def by_loops(a_hat: np.ndarray, a: np.ndarray, theta: float) -> float:
    """Eq. 10 as it stands: rows k, columns p < q, the sign of the exact difference, the hinge (theta - m)_+."""
    h, w = a.shape
    total = 0.0
    for k in range(h):
        for p, q in itertools.combinations(range(w), 2):
            m = (a_hat[k, p] - a_hat[k, q]) * np.sign(a[k, p] - a[k, q])
            total += max(theta - m, 0.0)
    return total


@pytest.mark.parametrize("theta", [0.0, 0.1, 2.0])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])  # by the kernel, by torch
def test_the_ranking_is_that_of_the_loops(theta: float, ties: bool, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(3)
    exact = torch.randn(6, 1, 5, 7, generator=generator, dtype=dtype)
    if ties:
        exact = exact.round()
        assert any(len(set(row)) < 7 for row in exact.reshape(-1, 7).tolist())
    scores = exact + 0.7 * torch.randn(exact.shape, generator=generator, dtype=dtype)
    data = OperationData(exact, exact, exact, None, 1)
    found = ranking_objective(1.0, theta)(data, scores) - ranking_objective(0.0, theta)(data, scores)
    for head in range(6):
        o, o_hat = exact[head, 0].double().numpy(), scores[head, 0].double().numpy()
        unit = o.std(ddof=1)
        expected = by_loops(o_hat / unit, o / unit, theta) / (5 * 7 * 6 / 2)
        assert found[head] == pytest.approx(expected, rel=1e-5)


def test_kept_order_with_a_margin_costs_nothing() -> None:
    exact = torch.tensor([[[[3.0, 1.0, 2.0]]]])  # their standard deviation is 1
    data = OperationData(exact, exact, exact, None, 1)
    assert ranking_objective(3.0, 1.0)(data, exact) == pytest.approx([0.0])
    assert ranking_objective(3.0, 1.5)(data, exact) == pytest.approx([1.0])  # two of 3 pairs are 1 apart, one is 2


@pytest.mark.parametrize("windows", [1, 2])
def test_objective_is_similarity_plus_gamma_times_the_ranking(windows: int) -> None:
    from scipy.stats import pearsonr

    generator = torch.Generator().manual_seed(4)
    images, heads, h, w = 3, 2, 4, 5
    out = torch.randn(heads, images * windows, h, w, generator=generator)
    out_hat = out + 0.3 * torch.randn(out.shape, generator=generator)
    data = OperationData(out, out, out, None, images)
    gamma, theta = 0.7, 0.2
    found = ranking_objective(gamma, theta)(data, out_hat)
    for head in range(heads):
        expected = 0.0
        for image in range(images):
            part = slice(image * windows, (image + 1) * windows)
            o, o_hat = out[head, part].double().numpy(), out_hat[head, part].double().numpy()
            unit = o.std(ddof=1)
            loss = sum(by_loops(x / unit, y / unit, theta) for x, y in zip(o_hat, o, strict=True))
            pairs = windows * h * w * (w - 1) / 2
            expected += 1 - pearsonr(o.ravel(), o_hat.ravel()).statistic + gamma * loss / pairs
        assert found[head] == pytest.approx(expected, rel=1e-4)
