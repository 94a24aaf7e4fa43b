"""LayerNorm: the reciprocal root by theorem and exhaustively, small worlds of rows, and the real function."""

from __future__ import annotations

import itertools
from fractions import Fraction
from math import isqrt
from typing import Any

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import units
from ptqsim.units.reference.layer_norm import newton_iterates, newton_steps, reciprocal_root
from tests.units.cases import BETA, CASES, GAMMA

EIGHT = pq.Uniform(8, 0.03)


def real_layer_norm(x: Any, gamma: Any, beta: Any, eps: float, scale: float) -> Any:
    real = np.asarray(x, np.longdouble) * scale
    centered = real - real.mean(-1, keepdims=True)
    return (centered / np.sqrt((centered**2).mean(-1, keepdims=True) + eps) * gamma + beta).astype(float)


@pytest.mark.parametrize("precision", [4, 5, 8])
def test_the_reciprocal_root_of_every_integer_of_18_bits(precision: int) -> None:
    """|rho - 1| < 2**-(p - 1) for rho = r 2**(e / 2 - (2 p - 1)) sqrt(V), squared so that it is exact."""
    bound = Fraction(1, 1 << (precision - 1))
    low, high = (1 - bound) ** 2, (1 + bound) ** 2
    variance = np.arange(1, 1 << 18)
    bits = np.frexp(variance)[1]
    spare = 2 * precision - bits
    exponent = spare - spare % 2
    radicand = np.where(exponent >= 0, variance << np.maximum(exponent, 0), variance >> np.maximum(-exponent, 0))
    root = np.floor(np.sqrt(radicand)).astype(np.int64)  # exact far below 2**52
    reciprocal = (1 << (2 * precision - 1)) // root
    square = reciprocal.astype(float) ** 2 * variance * 2.0 ** (exponent - (4 * precision - 2))  # exact: below 2**53
    assert float(low) < square.min()
    assert square.max() < float(high)
    for index in range(0, len(variance), 997):
        found = reciprocal_root(int(variance[index]), precision)
        assert found == (exponent[index], radicand[index], root[index], reciprocal[index])


def test_the_reciprocal_root_of_wide_integers() -> None:
    rng = np.random.default_rng(0)
    for precision in (8, 16, 24, 28):
        bound = Fraction(1, 1 << (precision - 1))
        for bits in range(1, 60):
            ends = [1 << (bits - 1), (1 << bits) - 1, int(rng.integers(1 << (bits - 1), 1 << bits))]
            for variance in ends:
                exponent, radicand, _, reciprocal = reciprocal_root(variance, precision)
                assert exponent % 2 == 0
                assert radicand.bit_length() in (2 * precision - 1, 2 * precision)
                square = Fraction(reciprocal**2 * variance) * Fraction(2) ** (exponent - (4 * precision - 2))
                assert (1 - bound) ** 2 < square < (1 + bound) ** 2


def test_newton_reaches_the_floor_in_the_proven_number_of_steps() -> None:
    for precision in (4, 5, 6, 7, 8):
        for radicand in range(1 << (2 * precision - 2), 1 << (2 * precision)):
            assert newton_iterates(radicand, precision)[-1] == isqrt(radicand)
    rng = np.random.default_rng(1)
    for precision in (12, 16, 24, 28):
        low, high = 1 << (2 * precision - 2), (1 << (2 * precision)) - 1
        squares = [int(m) ** 2 for m in rng.integers(1 << (precision - 1), 1 << precision, 500)]
        near = [value for square in squares for value in (square - 1, square) if low <= value <= high]
        for radicand in [low, low + 1, high, *near]:
            assert newton_iterates(radicand, precision)[-1] == isqrt(radicand)
    assert [newton_steps(precision) for precision in (4, 8, 16, 24, 28)] == [3, 4, 5, 5, 6]


def test_fewer_steps_of_newton_would_not_do() -> None:
    """The proven number is no more than one above what some radicand needs."""
    for precision in (4, 6, 8):
        steps = newton_steps(precision)
        radicands = range(1 << (2 * precision - 2), 1 << (2 * precision))
        assert any(newton_iterates(w, precision)[steps - 2] != isqrt(w) for w in radicands)


@pytest.mark.parametrize(("features", "bits"), [(2, 5), (3, 4), (4, 3)])
def test_every_row_of_a_small_world(features: int, bits: int) -> None:
    """Codes are those of the real function, or neighbors; values stay in their intervals; kernel equals reference."""
    half = 1 << (bits - 1)
    rows = np.array(list(itertools.product(range(-half, half), repeat=features)))
    gamma, beta = np.linspace(0.5, 1.5, features), np.linspace(-0.4, 0.4, features)
    unit = units.LayerNorm.from_real(gamma, beta, 1e-5, 0.5, EIGHT, x_bits=bits)
    trace, widths = unit.trace(rows), unit.widths()
    assert np.array_equal(unit(rows), trace["code"])
    for name, interval in widths.items():
        assert interval.lowest <= trace[name].min(), name
        assert trace[name].max() <= interval.highest, name
    # These are attained: the extremes of sums, of the variance and of the distance from the mean.
    for name in ("total", "squares", "scaled_squares", "squared_total", "variance", "centered"):
        assert trace[name].max() == widths[name].highest, name
    assert widths["normalized"].highest - 1 <= trace["normalized"].max() + 1
    assert units.greatest_error(EIGHT, unit(rows), real_layer_norm(rows, gamma, beta, 1e-5, 0.5)) <= 1


def test_the_error_against_the_real_function() -> None:
    """At most one code, in 0.3 % of outputs at p = 16 and 8 % at p = 8 (docs/units/layer_norm.md)."""
    rng = np.random.default_rng(2)
    x = np.rint(rng.normal(0, 2.0 ** rng.uniform(7, 12, (500, 1)), (500, 96)) + rng.normal(0, 500, 96)).astype(int)
    gamma, beta = rng.normal(1, 0.3, 96), rng.normal(0, 0.3, 96)
    real = real_layer_norm(x, gamma, beta, 1e-6, 2**-10)
    for precision, fraction, gain_bits, share in ((16, 12, 16, 0.003), (8, 8, 12, 0.08)):
        unit = units.LayerNorm.from_real(
            gamma, beta, 1e-6, 2**-10, EIGHT, precision=precision, fraction=fraction, gain_bits=gain_bits
        )
        found = units.steps(EIGHT, unit(x), EIGHT.encode(real))
        assert np.abs(found).max() == 1
        assert np.mean(found != 0) < share


def test_a_constant_added_to_the_input_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    for name in ("layer_norm-uniform8", "layer_norm-small", "layer_norm-softmax"):
        unit = CASES[name]
        limit = 1 << (unit.inputs[0].bits - 2)
        x = rng.integers(-limit, limit, (50, 48))
        assert np.array_equal(unit(x), unit(x + rng.integers(-limit, limit, (50, 1))))


def test_a_constant_row_gives_beta() -> None:
    unit = CASES["layer_norm-uniform8"]
    expected = pq.Uniform(8, 0.05, "half_up").encode(BETA)
    for value in (-2048, 0, 2047):
        assert np.array_equal(unit(np.full(48, value)), expected)


def test_both_ways_to_the_root_give_the_same_codes() -> None:
    made = [units.LayerNorm.from_real(GAMMA, BETA, 1e-6, 0.01, EIGHT, root=root) for root in ("newton", "bits")]
    x = np.random.default_rng(4).integers(-(2**15), 2**15, (50, 48))
    assert np.array_equal(made[0](x), made[1](x))
    assert "iterate" in made[0].trace(x[:1])
    assert "iterate" not in made[1].trace(x[:1])


def test_constants_of_real_parameters() -> None:
    unit = units.LayerNorm.from_real([1.0, 0.5], [0.25, -0.25], 0.7, 0.5, pq.Uniform(8, 0.25), gain_bits=8)
    assert unit.gain_fraction == 4  # 1 / 0.25 = 4 = 64 / 16, and 128 takes more than 8 signed bits
    assert unit.gain == (64, 32)
    assert unit.offset == (1 << 16, -(1 << 16))
    assert unit.epsilon == 11  # N**2 eps / S**2 = 4 * 0.7 / 0.25 = 11.2
    assert units.LayerNorm.from_real(1.0, 0.0, 0.0, 1.0, EIGHT, 48).channels == 48


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: units.LayerNorm.from_real(1.0, 0.0, 1e-6, 1.0, EIGHT), "give features"),
        (lambda: units.LayerNorm.from_real(np.zeros(4), 0.0, 1e-6, 1.0, EIGHT), "gamma is zero"),
        (lambda: units.LayerNorm.from_real(np.ones(4), np.zeros(3), 1e-6, 1.0, EIGHT), "different numbers of channels"),
        (lambda: units.LayerNorm.from_real(np.ones(4), 0.0, -1.0, 1.0, EIGHT), "eps must be finite and positive"),
        (lambda: units.LayerNorm.from_real(np.ones(4), 0.0, 1.0, 1e-12, EIGHT), "beyond the words of the unit"),
        (lambda: units.LayerNorm.from_real(np.ones(4), 0.0, 0.0, 1.0, pq.Uniform(8, 1e-9)), "does not fit 16 bits"),
        (lambda: units.LayerNorm(EIGHT, (1,), (0,), 0, 4096, x_bits=24), "'scaled_squares' needs"),
        (lambda: units.LayerNorm(EIGHT, (1,), (0,), 0, 4, precision=40), "precision must be an integer from 4 to 28"),
        (lambda: units.LayerNorm(EIGHT, (1,), (0,), 0, 4, root="cordic"), "unknown root method 'cordic'"),
        (lambda: units.LayerNorm(EIGHT, (1,), (0,), -1, 4), "epsilon must be"),
    ],
)  # fmt: skip
def test_refusals(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
