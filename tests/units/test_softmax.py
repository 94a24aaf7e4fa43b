"""Softmax: small worlds of rows, the codes of exact quotients, sums, monotony, and the real function."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import units
from ptqsim.units import target
from tests.units.cases import CASES, RECIPROCAL

TWIN = pq.TwinSoftmax(8, 6)
HOLE = pq.TwinSoftmax(4, 9, "half_up")
HALF_UP = [
    pq.TwinSoftmax(8, 6, "half_up"), pq.TwinSoftmax(4, 2, "half_up"), pq.TwinSoftmax(6, 4, range_choice="nearest"),
    HOLE, pq.Uniform(9, 1 / 256, "half_up"), pq.Log2(4), pq.Log2(3),
]  # fmt: skip


def real_softmax(scores: Any, scale: float) -> Any:
    powers = np.exp((scores - scores.max(-1, keepdims=True)) * scale)
    return powers / powers.sum(-1, keepdims=True)


@pytest.mark.parametrize("division", [units.Division(), RECIPROCAL], ids=lambda one: str(one.method))
@pytest.mark.parametrize(("length", "bits"), [(2, 6), (3, 4), (4, 3)])
def test_every_row_of_a_small_world(length: int, bits: int, division: Any) -> None:
    half = 1 << (bits - 1)
    rows = np.array(list(itertools.product(range(-half, half), repeat=length)))
    for fmt in HALF_UP:
        unit = units.Softmax.from_real(0.6, fmt, length, score_bits=bits, entries=4, table_bits=9, division=division)
        trace, widths = unit.trace(rows), unit.widths()
        assert np.array_equal(unit(rows), trace["code"])
        for name, interval in widths.items():
            assert interval.lowest <= trace[name].min(), name
            assert trace[name].max() <= interval.highest, name
        assert trace["distance"].max() == widths["distance"].highest
        assert trace["total"].max() == widths["total"].highest
        assert trace["total"].min() == max(widths["total"].lowest, trace["total"].min())
        if isinstance(fmt, pq.Log2):
            continue
        values, missing = fmt.decode(trace["code"]), max(0, 1 - fmt.real_max)
        slack = 0 if unit.division.method == units.DivisionMethod.EXACT else length * 2.0**-18
        assert np.abs(values.sum(-1) - 1).max() <= length * fmt.step * 2**fmt.shift / 2 + missing + slack
        order = np.argsort(rows, -1, kind="stable")
        if fmt != HOLE:
            assert (np.diff(np.take_along_axis(values, order, -1)) >= 0).all()


@pytest.mark.parametrize("number_format", HALF_UP, ids=lambda fmt: fmt.short())
def test_the_code_is_that_of_the_exact_quotient(number_format: Any) -> None:
    """float64 divides e by E so closely that the format's own encoder decides as an exact quotient does."""
    rng = np.random.default_rng(0)
    unit = units.Softmax.from_real(0.02, number_format, 50, score_bits=12)
    trace = unit.trace(np.rint(rng.normal(0, 200, (300, 50))).astype(int))
    quotient = trace["exponential"] / trace["total"][:, None]
    assert np.array_equal(trace["code"], number_format.encode(quotient))


def test_ties_of_quotients_go_up() -> None:
    """Scores that are equal give 1 / n exactly: 1/3 of 9 steps is 3, 1/2 of 9 steps is 4.5."""
    fmt = pq.Uniform(5, 1 / 9)
    unit = units.Softmax.from_real(1.0, fmt, 18, score_bits=4)
    assert [fmt.align(unit(np.zeros(n, int)))[0] for n in (1, 2, 3, 6, 18)] == [9, 5, 3, 2, 1]


def test_exponentials_are_powers_of_two() -> None:
    unit = CASES["softmax-uniform8-exact"]
    assert unit.table == tuple(int(32767 * 2 ** (-i / 16) + 0.5) for i in range(16))
    trace = unit.trace(np.arange(-512, -512 + 64))
    exact = 32767 * 2.0 ** -(trace["position"] / 16)
    assert np.abs(trace["exponential"] - exact).max() <= 1
    # log2(e) / 40 * 16 = 0.577 positions to a score
    assert trace["position"].tolist() == [int(d * 1.4426950408889634 / 40 * 16 + 0.5) for d in range(63, -1, -1)]


def test_what_is_far_away_has_an_exponential_of_zero() -> None:
    unit = units.Softmax.from_real(1.0, TWIN, 2, score_bits=8, entries=16)
    trace = unit.trace([[0, -10], [0, -11], [0, -12], [0, -127]])
    assert trace["position"][:, 1].tolist() == [231, 254, 255, 255]
    assert trace["exponential"][:, 1].tolist() == [1, 1, 0, 0]


def test_codes_sum_to_one_within_the_roundings() -> None:
    """The quotients sum to 1 exactly, so that codes are off by half a step each at most."""
    rng = np.random.default_rng(1)
    scores = np.rint(rng.normal(0, 2.0 ** rng.uniform(0, 11, (400, 1)), (400, 64))).clip(-2048, 2047).astype(int)
    for fmt, step in ((pq.Uniform(9, 1 / 256), 1 / 256), (pq.Uniform(12, 1 / 2047), 1 / 2047), (TWIN, 2.0**-7)):
        unit = units.Softmax.from_real(0.01, fmt, 64, score_bits=12)
        sums = fmt.decode(unit(scores)).sum(-1)
        # The greatest code may stand for less than 1.
        assert np.abs(sums - 1).max() <= 64 * step / 2 + max(0, 1 - fmt.real_max)


@pytest.mark.parametrize("division", [units.Division(), RECIPROCAL], ids=lambda one: str(one.method))
@pytest.mark.parametrize(
    "number_format",
    [pq.Uniform(8, 1 / 127), TWIN, pq.TwinSoftmax(4, 3), pq.TwinSoftmax(4, 9, range_choice="nearest"), pq.Log2(4)],
    ids=lambda fmt: fmt.short(),
)
def test_codes_are_monotone_in_the_scores(number_format: Any, division: Any) -> None:
    rng = np.random.default_rng(2)
    unit = units.Softmax.from_real(0.02, number_format, 48, score_bits=10, table_bits=15, division=division)
    scores = np.sort(rng.integers(-512, 512, (300, 48)), -1)
    assert (np.diff(number_format.decode(unit(scores))) >= 0).all()


def test_the_paper_s_range_rule_is_not_monotone_where_it_has_a_hole() -> None:
    fmt = pq.TwinSoftmax(4, 9)
    unit = units.Softmax.from_real(0.02, fmt, 48, score_bits=10)
    scores = np.arange(-500, 460, 20)
    assert (np.diff(fmt.decode(unit(scores))) < 0).any()


def test_every_probability_of_a_reciprocal_has_the_code_of_its_real() -> None:
    """The twin code of P / 2**R for every P: the flag is P >= 2**(R - m), and the magnitudes are shifts."""
    fmt, bits = pq.TwinSoftmax(6, 4, "half_up"), 16
    values = np.arange((1 << bits) + 1)
    unit = units.Rescale(fmt, units.Multiplier([1], [bits - 9]), acc_bits=bits + 2)
    codes = unit(values)
    assert np.array_equal(codes, fmt.encode(values * 2.0**-bits))
    flag = values >= 1 << (bits - 4)
    r1 = np.minimum(31, (values + (1 << (bits - 10))) >> (bits - 9))
    r2 = np.minimum(31, (values + (1 << (bits - 6))) >> (bits - 5))
    assert np.array_equal(codes, np.where(flag, 32 + r2, r1))


def test_the_error_against_the_real_function() -> None:
    """Steps of TwinSoftmax(8, 6) by entries of the table: docs/units/softmax.md."""
    rng = np.random.default_rng(3)
    scores = (
        np.rint(rng.normal(0, 2.0 ** rng.uniform(8, 15, (600, 1)), (600, 65))).astype(int).clip(-(2**17), 2**17 - 1)
    )
    real = real_softmax(scores, 2e-4)
    errors = {}
    for entries, bits in ((1, 15), (16, 8), (16, 15), (64, 15), (256, 15)):
        unit = units.Softmax.from_real(2e-4, TWIN, 65, 18, entries=entries, table_bits=bits)
        errors[entries, bits] = units.greatest_error(TWIN, unit(scores), real)
    assert errors[64, 15] <= 1
    assert errors[256, 15] <= 1
    assert errors[16, 15] <= 4
    assert errors[1, 15] > 20


def test_the_reciprocal_is_rarely_another_code() -> None:
    rng = np.random.default_rng(4)
    scores = rng.integers(-(2**15), 2**15, (200, 65))
    exact = units.Softmax.from_real(2e-4, TWIN, 65, 18)(scores)
    for bits, share in ((31, 0.001), (25, 0.05)):
        unit = units.Softmax.from_real(2e-4, TWIN, 65, 18, division=units.Division("reciprocal", bits))
        found = units.steps(TWIN, unit(scores), exact)
        assert np.abs(found).max() <= 1
        assert np.mean(found != 0) <= share


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"table_bits": 6}, "entries up to 63 is too small for .*whose codes have 127 steps; give entries of 7 bits"),
        ({"entries": 12}, "a power of two of entries, 1 to 1024, got 12"),
        ({"position_bits": 3}, "position_bits must be an integer from 6 to 12"),
        ({"division": units.Division("reciprocal", 20)}, "a reciprocal of 20 bits is zero for sums of up to 6455099"),
        ({"length": 0}, "length must be"),
        ({"score_bits": 60}, "score_bits must be"),
        ({"score_scale": -1.0}, "score_scale must be finite"),
        ({"out_format": pq.TwinSoftmax(16, 32)}, "needs .* signed bits and at most 63"),
        ({"out_format": pq.Log2(4), "table_bits": 24}, "31 bits and needs 32"),
    ],
)  # fmt: skip
def test_refusals(options: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"score_scale": 0.01, "out_format": TWIN, "length": 197} | options
    with pytest.raises(ValueError, match=message):
        units.Softmax.from_real(**given)


def test_tables_that_are_none() -> None:
    one = units.Multiplier([1], [0])
    for table in ((100, 101), (200, 99)):
        with pytest.raises(ValueError, match="must not rise"):
            units.Softmax(pq.Uniform(4, 0.1), 4, 8, units.Division(), one, table)
    with pytest.raises(ValueError, match="one positive multiplier"):
        units.Softmax(pq.Uniform(4, 0.1), 4, 8, units.Division(), units.Multiplier([1, 2], [0, 0]), (100,))


def test_kernel_constants_are_of_the_kernel() -> None:
    from ptqsim.kernels.units import target as kernel

    names = ("UNIFORM", "TWIN_SOFTMAX", "TWIN_SOFTMAX_NEAREST", "TWIN_GELU", "LOG2")
    assert [getattr(kernel, name) for name in names] == [getattr(target, name) for name in names]
    for divisor in [*range(1, 3000), 2**30, 2**31 - 1]:
        root = kernel.root_of_two(divisor)
        assert root * root <= 2 * divisor * divisor < (root + 1) ** 2
