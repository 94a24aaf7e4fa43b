"""Softmax with a running maximum: small worlds, the theorem of the sum, monotony, and nearness to two passes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import units

TWIN = pq.TwinSoftmax(8, 6)
EXACT, RECIPROCAL = units.Division(), units.Division("reciprocal", 24)
FORMATS = [TWIN, pq.Uniform(9, 1 / 256), pq.TwinSoftmax(4, 9, range_choice="nearest"), pq.Log2(4)]


@pytest.mark.parametrize(("part", "division"), [(0, EXACT), (1, EXACT), (2, EXACT), (1, RECIPROCAL)])
@pytest.mark.parametrize(("length", "bits"), [(2, 5), (3, 3), (4, 2)])
def test_every_row_of_a_small_world(length: int, bits: int, part: int, division: Any) -> None:
    half = 1 << (bits - 1)
    rows = np.array(list(itertools.product(range(-half, half), repeat=length)))
    for fmt in FORMATS:
        unit = units.RunningSoftmax.from_real(0.6, fmt, length, bits, 4, 9, part, division=division)
        trace, widths = unit.trace(rows), unit.widths()
        assert np.array_equal(unit(rows), trace["code"])
        for name, interval in widths.items():
            assert interval.lowest <= trace[name].min(), name
            assert trace[name].max() <= interval.highest, name
        assert (trace["exponential"] <= trace["total"][:, None]).all()
        order = np.argsort(rows, -1, kind="stable")
        assert (np.diff(np.take_along_axis(fmt.decode(trace["code"]), order, -1)) >= 0).all()
        # the sum is off by half a unit for every term and for every rise, and so are the terms
        real = 2.0 ** (trace["position"] / 4 - trace["peak"][:, None]) * unit.table[0]
        assert np.abs(trace["total"] - real.sum(-1)).max() <= length + 1


def test_powers_and_rests_by_hand() -> None:
    """Four entries to a halving: position -3 is 2**0 / 2**(3/4), position 1 is 2**1 / 2**(3/4)."""
    unit = units.RunningSoftmax(TWIN, 4, 8, units.Division(), units.Multiplier([1], [0]), (255, 214, 180, 152), part=1)
    trace = unit.trace([-3, 1, 0, -40])
    assert trace["power"].tolist() == [0, 1, 0, -10]
    assert trace["rest"].tolist() == [3, 3, 0, 0]
    # 152, halved when the second comes; 255 of the third is halved at once, and the last by 9 or more
    assert trace["total"] == (152 + 1) // 2 + 152 + 128 + 0
    assert trace["exponential"].tolist() == [76, 152, 128, 0]
    assert trace["halvings"].tolist() == [1, 0, 1, 9]


def test_it_is_near_softmax_in_two_passes() -> None:
    rng = np.random.default_rng(0)
    drawn = np.rint(rng.normal(0, 2.0 ** rng.uniform(8, 15, (300, 1)), (300, 65)))
    scores = drawn.astype(int).clip(-(2**17), 2**17 - 1)
    real = np.exp((scores - scores.max(-1, keepdims=True)) * 2e-4)
    real /= real.sum(-1, keepdims=True)
    for part in (0, 1, 16):
        unit = units.RunningSoftmax.from_real(2e-4, TWIN, 65, 18, part=part)
        assert units.greatest_error(TWIN, unit(scores), real) <= 2
    coarse = units.RunningSoftmax.from_real(2e-4, TWIN, 65, 18, entries=1)
    assert units.greatest_error(TWIN, coarse(scores), real) > 10


def test_the_order_of_scores_changes_the_sum_by_roundings_alone() -> None:
    rng = np.random.default_rng(1)
    unit = units.RunningSoftmax.from_real(0.01, TWIN, 40, 12, part=1)
    for scores in rng.integers(-2048, 2048, (40, 40)):
        totals = [int(unit.trace(rng.permutation(scores))["total"]) for _ in range(4)]
        assert max(totals) - min(totals) <= 2 * (40 + 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"table_bits": 6}, "entries up to 63 is too small for .*give entries of 7 bits"),
        ({"entries": 12}, "a power of two of entries, 1 to 1024, got 12"), ({"part": -1}, "part must be"),
        ({"division": units.Division("reciprocal", 20)}, "a reciprocal of 20 bits is zero"),
        ({"score_bits": 48, "multiplier_bits": 31}, "needs .* signed bits and at most 63"),
    ],
)  # fmt: skip
def test_refusals(options: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"score_scale": 0.01, "out_format": TWIN, "length": 197} | options
    with pytest.raises(ValueError, match=message):
        units.RunningSoftmax.from_real(**given)
