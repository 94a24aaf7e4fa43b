"""Sums of hinges over pairs, bit for bit those of a loop over all pairs (Liu et al. Eq. 10)."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ptqsim.kernels.calibration import ranking

F32 = NDArray[np.float32]
THETA = np.float32(0.1)


def by_loop(scores: F32, exact: F32, theta: np.float32, of_ties: np.float32) -> F32:
    """Every pair of every row, the greater exact score first; one addition in float32 a pair, zeros included."""
    sums = np.zeros(len(scores), np.float32)
    for r, (row, wanted) in enumerate(zip(scores, exact, strict=True)):
        order = np.argsort(-wanted, kind="stable")
        for i, p in enumerate(order):
            for q in order[i + 1 :]:
                hinge = max(row[q] - row[p] + theta, np.float32(0))
                sums[r] += of_ties if wanted[p] == wanted[q] else hinge
    return sums


@pytest.mark.parametrize("tied", ["none", "one row", "many"])
@pytest.mark.parametrize("noise", [0.01, 0.3, 3.0])
@pytest.mark.parametrize(("rows", "width"), [(1, 1), (5, 2), (70, 15), (70, 16), (65, 17), (64, 33), (3, 50)])
def test_sums_are_those_of_all_pairs(rows: int, width: int, noise: float, tied: str) -> None:
    """Rows and columns that do not fill a block, scores that keep their order and that lose it, and ties."""
    rng = np.random.default_rng([rows, width])
    exact = rng.normal(size=(rows, width)).astype(np.float32)
    if tied == "one row" and width > 1:
        exact[-1, 1] = exact[-1, 0]
    if tied == "many":
        exact = np.round(exact)
    scores = (exact + noise * rng.normal(size=exact.shape)).astype(np.float32)
    order = np.argsort(-exact, axis=1, kind="stable")
    ordered = np.ascontiguousarray(np.take_along_axis(exact, order, axis=1).T)
    found = np.full(rows, np.nan, np.float32)
    ranking.hinge_sums(0, rows, scores, order, ordered if tied != "none" else ordered[:0, :0], THETA, THETA, found)
    assert found.tobytes() == by_loop(scores, exact, THETA, THETA).tobytes()


def test_rows_outside_the_range_stay() -> None:
    """A thread writes the sums of its own rows alone."""
    scores = np.zeros((5, 3), np.float32)
    order = np.tile(np.arange(3), (5, 1))
    found = np.full(5, -1, np.float32)
    ranking.hinge_sums(1, 3, scores, order, np.empty((0, 0), np.float32), THETA, THETA, found)
    assert found.tolist() == [-1, *[float(np.float32(0.1) * np.float32(3))] * 2, -1, -1]
