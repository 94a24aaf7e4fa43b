"""The head: the minimum that scikit-learn finds, the same bits whatever the order of sums."""

from __future__ import annotations

import numpy as np
import pytest

from ptqsim.ptq.fetching.head import GRID, fit_head

LABELS = np.arange(300) % 6


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    rng = np.random.default_rng(0)
    return 3 + rng.normal(size=(6, 50))[LABELS] + 2 * rng.normal(size=(300, 50))


@pytest.mark.parametrize("inverse_penalty", [0.01, 0.1])
def test_it_is_the_minimum_that_scikit_learn_finds(features: np.ndarray, inverse_penalty: float) -> None:
    from sklearn.linear_model import LogisticRegression

    head = fit_head(features, LABELS, inverse_penalty=inverse_penalty)
    other = LogisticRegression(C=inverse_penalty, max_iter=10_000, tol=1e-9).fit(features, LABELS)
    assert np.abs(head["head.weight"] - other.coef_).max() < 4 * GRID
    bias, wanted = head["head.bias"], other.intercept_  # one constant for all classes changes nothing
    assert np.abs((bias - bias.mean()) - (wanted - wanted.mean())).max() < 10 * GRID


def test_last_bits_of_the_features_do_not_change_it(features: np.ndarray) -> None:
    noise = np.random.default_rng(1).normal(size=features.shape)
    order = np.random.default_rng(2).permutation(len(features))
    first = fit_head(features, LABELS, inverse_penalty=0.1)
    other = fit_head((features * (1 + 1e-13 * noise))[order], LABELS[order], inverse_penalty=0.1)
    assert all(np.array_equal(first[name], other[name]) for name in first)


def test_features_that_are_not_finite_are_refused(features: np.ndarray) -> None:
    broken = features.copy()
    broken[0, 0] = np.nan
    with pytest.raises(ValueError, match="no minimum"):
        fit_head(broken, LABELS, inverse_penalty=0.1)
