"""Hadamard matrices against their definition and SciPy's, and the orthogonal matrices made of them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from ptqsim.ptq.calibration.folds.rotations.hadamard import hadamard
from ptqsim.ptq.calibration.folds.rotations.orthogonal import spreading, with_mean_kept

LACKING = (52, 92, 100, 116, 156, 172, 184, 188)
"""Multiples of 4 up to 200 that neither construction reaches with a prime."""


def test_every_matrix_is_what_its_name_says() -> None:
    lacking = []
    for order in range(1, 201):
        found = hadamard(order)
        if found is None:
            lacking.append(order)
            continue
        assert found.dtype == np.int8
        assert (np.abs(found) == 1).all()
        wide = found.astype(np.int64)
        assert np.array_equal(wide @ wide.T, order * np.eye(order, dtype=np.int64)), order
    assert tuple(order for order in lacking if order % 4 == 0) == LACKING
    assert [order for order in lacking if order % 4] == [order for order in range(3, 201) if order % 4]  # there is none


def test_powers_of_two_are_those_of_scipy() -> None:
    for order in (1, 2, 4, 64, 256):
        assert np.array_equal(hadamard(order), scipy.linalg.hadamard(order))


@pytest.mark.parametrize("width", [32, 64, 72, 80, 88, 96, 192, 384, 768, 1024, 1152, 1280, 1408])
def test_widths_of_vision_transformers_have_one(width: int) -> None:
    assert hadamard(width) is not None


@pytest.mark.parametrize("size", [2, 24, 50, 64, 92, 192])
def test_matrices_are_orthogonal_and_keep_the_mean(size: int) -> None:
    drawn = spreading(size, np.random.default_rng(0))
    kept = with_mean_kept(drawn)
    for matrix in (drawn, kept):
        assert np.allclose(matrix @ matrix.T, np.eye(size), atol=1e-12)
    assert np.allclose(kept @ np.ones(size), 1, atol=1e-12)
    assert np.allclose(np.ones(size) @ kept, 1, atol=1e-12)
    if hadamard(size) is not None:
        assert np.allclose(np.abs(drawn), size**-0.5)
        assert np.abs(kept - drawn).mean() < 2 / size
    assert np.array_equal(with_mean_kept(np.eye(size)), np.eye(size))
    assert not np.array_equal(drawn, spreading(size, np.random.default_rng(1)))
