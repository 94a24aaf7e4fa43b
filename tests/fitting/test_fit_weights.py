"""Fitted weights: they always fit, keep what fits already, and compensate better than they project."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ptqsim as pq
from ptqsim import fitting
from ptqsim.fitting.budgets import Budgets
from ptqsim.fitting.compensation import compensate, errors
from ptqsim.fitting.limits import Limit, RegisterLimits

INPUTS = [
    pq.Uniform(4, 1.0),
    pq.Uniform(3, 1.0, signed=False),
    pq.Uniform(4, 1.0, signed=False, zero_point=9),
    pq.TwinSoftmax(3, 2),
    pq.TwinGELU(4, 1, 1.0),
]


def problem(rng: np.random.Generator, depth: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    weights = rng.normal(0, 1, (depth, columns)) * rng.lognormal(0, 1, columns)
    x = rng.normal(0.3, 1, (2 * depth, depth)) @ rng.normal(0, 1, (depth, depth))
    return weights, x.T @ x / depth + 0.1 * np.eye(depth)


@given(st.data())
def test_fitted_weights_fit_and_trap_nothing(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    depth, columns = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 4))
    weights, hessian = problem(rng, depth, columns)
    a_format = data.draw(st.sampled_from(INPUTS))
    zero_point = data.draw(st.sampled_from([0, 0, 2]))
    place = data.draw(st.sampled_from(["operand", "correction"])) if not zero_point else "operand"
    channels = data.draw(st.booleans())
    scale = np.abs(weights).max(axis=0) / 6 + 0.01
    b_format = pq.Uniform(4, scale if channels else scale.max(), zero_point=zero_point, axis=-1 if channels else None)
    order = data.draw(st.sampled_from(["sequential", "tree:4", "split:3:8", "split:4:7"]))
    alignment = data.draw(st.sampled_from(["product", "deferred"]))
    accumulator = pq.Accumulator(data.draw(st.integers(8, 12)), "trap", order, alignment, place)
    given_hessian = hessian if data.draw(st.booleans()) else None
    fitted = fitting.fit_weights(weights, a_format, b_format, accumulator, given_hessian)
    assert fitting.fits(a_format, fitted, accumulator)
    inputs = pq.QuantizedArray(rng.integers(0, a_format.code_count, (8, depth)), a_format)
    result = pq.matmul(inputs, fitted, accumulator)  # a trap would raise
    np.testing.assert_array_equal(result.acc, inputs.aligned() @ fitted.aligned())
    nearest = pq.quantize(weights, b_format)
    if fitting.fits(a_format, nearest, accumulator):
        assert fitted == nearest


def test_compensation_has_the_lesser_error(rng: np.random.Generator) -> None:
    weights, hessian = problem(rng, 40, 6)
    a_format, b_format = pq.Uniform(8, 1.0, signed=False), pq.Uniform(6, np.abs(weights).max() / 32)
    for accumulator in (pq.Accumulator(15), pq.Accumulator(16, order="split:8:14")):
        plain, better = (
            errors(
                fitting.fit_weights(weights, a_format, b_format, accumulator, h).aligned(),
                weights / b_format.scale,
                hessian,
            )
            for h in (None, hessian)
        )
        assert (better <= plain).all()
        assert better.sum() < 0.9 * plain.sum()


def test_codes_that_a_method_chose_are_the_target() -> None:
    a_format, b_format = pq.Uniform(4, 1.0, signed=False), pq.Uniform(4, 1.0)
    codes = pq.quantize([[7.0, 1.0], [6.0, 1.0], [-5.0, 0.0]], b_format)
    fitted = fitting.fit_weights(codes, a_format, b_format, pq.Accumulator(8))
    assert fitted.aligned().tolist() == [[4, 1], [4, 1], [-5, 0]]  # 15 * 8 <= 127
    assert fitting.fit_weights(codes, a_format, b_format, pq.Accumulator(9)) is codes


def test_the_certificate_of_fitted_weights() -> None:
    a_format, b_format = pq.Uniform(4, 1.0, signed=False), pq.Uniform(4, 1.0)
    accumulator = pq.Accumulator(9, order="split:2:7")
    weights = pq.quantize([[7.0], [7.0], [-8.0], [-8.0], [3.0]], b_format)
    found = fitting.certificate(a_format, weights, accumulator)
    assert (found["inner"].lowest, found["inner"].highest) == (-240, 210)
    assert found["inner"].per_output is not None
    assert found["inner"].per_output.tolist() == [9]
    fitted = fitting.fit_weights(weights, a_format, b_format, accumulator)
    assert {name: bound.bits for name, bound in fitting.certificate(a_format, fitted, accumulator).items()} == {
        "accumulator": 8, "inner": 7,
    }  # fmt: skip


def test_compensation_without_limits_is_gptq() -> None:
    """Two rows, by hand: the second makes up for the first's rounding error of 0.4 by H_01 / H_11 of it."""
    hessian = np.array([[2.0, 1.0], [1.0, 1.5]])
    limits = RegisterLimits((Limit(1, 1, 100),))
    codes = compensate(np.array([[1.4], [2.3]]), hessian, (-8, 7), limits)
    assert codes[:, 0].tolist() == [1, 3]  # 2.3 + 0.4 * 1 / 1.5 = 2.57
    diagonal = compensate(np.array([[1.4], [2.3]]), np.eye(2), (-8, 7), limits)
    assert diagonal[:, 0].tolist() == [1, 2]


def test_budgets_are_spent_and_given_back() -> None:
    budgets = Budgets(RegisterLimits((Limit(2, 1, 9),), (Limit(1, 3, 6),), 2), 3, 1)
    assert [bound.tolist() for bound in budgets.range_of(0)] == [[-2], [4]]
    budgets.spend(0, np.array([3]))
    assert [bound.tolist() for bound in budgets.range_of(1)] == [[-1], [1]]  # (9 - 6) / 2, (6 - 3) / 3
    assert [bound.tolist() for bound in budgets.range_of(2)] == [[-2], [1]]  # another tile
    budgets.give_back(0, np.array([3]))
    assert [bound.tolist() for bound in budgets.range_of(1)] == [[-2], [4]]


def test_thresholds_are_those_of_the_euclidean_projection() -> None:
    budgets = Budgets(RegisterLimits((Limit(1, 1, 5),)), 3, 1)
    positive, negative = budgets.thresholds(np.arange(3), np.array([[4.0], [-3.0], [0.5]]))
    assert positive[:, 0] == pytest.approx([1, 1, 1], abs=1e-5)  # 3 + 2 + 0 = 5
    assert negative[:, 0] == pytest.approx([1, 1, 1], abs=1e-5)


def test_a_fit_that_leaves_nothing_says_which_channel_and_which_width() -> None:
    a_format, b_format = pq.Uniform(8, 1.0, signed=False), pq.Uniform(4, 1.0)
    weights = [[0.0, 5.0], [0.0, -3.0]]
    legal = (
        r"output channel 1 .* no weight but 0 in a register of 8 bits; legal is one of 9 bits or more, .* 12 bits would"
    )
    with pytest.raises(ValueError, match=legal):
        fitting.fit_weights(weights, a_format, b_format, pq.Accumulator(8))
    with pytest.raises(ValueError, match="a tile register of 7 bits; legal is one of 9 bits"):
        fitting.fit_weights(weights, a_format, b_format, pq.Accumulator(16, order="split:2:7"))
    assert fitting.fit_weights(weights, a_format, b_format, pq.Accumulator(9)).aligned().tolist() == [[0, 1], [0, -1]]


@pytest.mark.parametrize(
    ("hessian", "message"),
    [
        (np.eye(3), r"must be \[2, 2\], got the shape \(3, 3\)"),
        (np.array([[1.0, 2.0], [0.0, 1.0]]), "finite and symmetric"),
        (np.array([[1.0, np.nan], [np.nan, 1.0]]), "finite and symmetric"),
        (np.ones((2, 2)), "positive definite: add 1 %"),
    ],
)
def test_bad_hessians(hessian: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fitting.fit_weights([[7.0], [7.0]], pq.Uniform(4, 1.0), pq.Uniform(4, 1.0), pq.Accumulator(6), hessian)


def test_bad_weights() -> None:
    a_format, b_format, accumulator = pq.Uniform(4, 1.0), pq.Uniform(4, 1.0), pq.Accumulator(6)
    with pytest.raises(ValueError, match=r"weights must be \[K, N\], got the shape \(3,\)"):
        fitting.fit_weights([1.0, 2.0, 3.0], a_format, b_format, accumulator)
    with pytest.raises(ValueError, match="are codes of"):
        fitting.fit_weights(pq.quantize([[1.0]], pq.Uniform(5, 1.0)), a_format, b_format, accumulator)
    with pytest.raises(TypeError, match="weights that are fitted are uniform"):
        fitting.fit_weights([[1.0]], a_format, pq.E4M3, accumulator)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="sweeps must be an integer from 0 to 1000"):
        fitting.fit_weights([[1.0]], a_format, b_format, accumulator, sweeps=-1)
