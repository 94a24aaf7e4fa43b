"""Rounding with compensation: the order and the equations of GPTQ, by a plain program, and what it brings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ptqsim as pq
from ptqsim import fitting


def gptq(weights: np.ndarray, steps: np.ndarray, hessian: np.ndarray, low: int, high: int) -> np.ndarray:
    """Frantar et al., Algorithm 1 with blocks of one, by updates of the inverse Hessian in place of its factor."""
    depth = len(weights)
    left, codes = weights / steps, np.zeros(weights.shape, np.int64)
    inverse, remaining = np.linalg.inv(hessian), sorted(range(depth), key=lambda k: -hessian[k, k])
    while remaining:
        row = remaining.pop(0)
        codes[row] = np.clip(np.rint(left[row]), low, high)
        error = (left[row] - codes[row]) / inverse[row, row]
        for other in remaining:
            left[other] -= inverse[other, row] * error
        # Eq. 3: the row and the column leave the inverse
        inverse = inverse - np.outer(inverse[:, row], inverse[row]) / inverse[row, row]
    return codes


def problem(seed: int, depth: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(4 * depth, depth)) @ rng.normal(size=(depth, depth))
    return rng.normal(size=(depth, columns)), x.T @ x + 0.01 * np.eye(depth)


@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 4), st.integers(2, 8), st.booleans())
def test_codes_are_those_of_the_algorithm(seed: int, depth: int, columns: int, bits: int, channels: bool) -> None:
    weights, hessian = problem(seed, depth, columns)
    scale = np.abs(weights).max(axis=0) / 2 ** (bits - 1) if channels else np.float64(2.5 / 2 ** (bits - 1))
    fmt = pq.Uniform(bits, scale if channels else float(scale), axis=-1 if channels else None)
    found = fitting.round_weights(weights, fmt, hessian)
    expected = gptq(weights, np.asarray(fmt.steps), hessian, fmt.aligned_min, fmt.aligned_max)
    differ = found.aligned() != expected
    # rows whose remaining target is a half to the last bit may be rounded either way
    assert differ.mean() < 0.02 or np.abs(found.aligned() - expected).max() <= 1


@pytest.mark.parametrize("bits", [3, 4])
def test_products_are_nearer_than_those_of_the_nearest_codes(bits: int) -> None:
    weights, hessian = problem(1, 48, 24)
    fmt = pq.Uniform(bits, 3.0 / 2 ** (bits - 1))

    def error(codes: pq.QuantizedArray) -> float:
        difference = codes.dequantize() - weights
        return float((difference * (hessian @ difference)).sum())

    nearest = error(pq.quantize(weights, fmt))
    made = error(fitting.round_weights(weights, fmt, hessian))
    improved = error(fitting.round_weights(weights, fmt, hessian, sweeps=20))
    assert made < 0.6 * nearest
    assert improved <= made


def test_a_diagonal_hessian_gives_the_nearest_codes() -> None:
    weights, _ = problem(2, 20, 5)
    fmt = pq.Uniform(4, 0.3)
    found = fitting.round_weights(weights, fmt, np.diag(np.arange(1.0, 21.0)))
    assert np.array_equal(found.codes, pq.quantize(weights, fmt).codes)


def test_what_is_refused() -> None:
    weights, hessian = problem(3, 4, 2)
    fmt = pq.Uniform(4, 0.3)
    with pytest.raises(ValueError, match=r"the Hessian must be \[4, 4\]"):
        fitting.round_weights(weights, fmt, hessian[:3])
    with pytest.raises(ValueError, match="positive definite"):
        fitting.round_weights(weights, fmt, -hessian)
    with pytest.raises(TypeError, match="are uniform"):
        fitting.round_weights(weights, pq.E4M3, hessian)  # type: ignore[arg-type]
