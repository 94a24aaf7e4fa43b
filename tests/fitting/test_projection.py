"""The projection: the nearest codes that keep the limits, against a search of all codes and against the reference."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptqsim.fitting import reference
from ptqsim.fitting.limits import Limit, RegisterLimits
from ptqsim.fitting.projection import FRACTION, fixed_point, project

STEP = 1 << FRACTION


def nearest(target: list[Fraction], low: int, high: int) -> list[int]:
    return [min(max(round(t), low), high) for t in target]


def projected(codes: list[int], target: list[Fraction], limits: RegisterLimits) -> list[int]:
    wanted = np.array([[int(t * STEP)] for t in target])
    return project(np.array(codes)[:, None], wanted, limits)[:, 0].tolist()


def distance(codes: list[int], target: list[Fraction]) -> Fraction:
    return sum(((t - code) ** 2 for t, code in zip(target, codes, strict=True)), Fraction(0))


@pytest.mark.parametrize(
    "limits", [(Limit(2, 2, 7),), (Limit(3, 1, 8), Limit(1, 3, 9)), (Limit(2, 0, 3), Limit(0, 2, 4))]
)
def test_no_codes_that_keep_the_limits_are_nearer(limits: tuple[Limit, ...]) -> None:
    """All columns of three targets in quarters, against all codes of 3 bits: the least distance there is."""
    values = [Fraction(quarter, 4) for quarter in (-14, -9, -2, 2, 5, 17)]
    for target in product(values, repeat=3):
        wanted = list(target)
        found = projected(nearest(wanted, -4, 3), wanted, RegisterLimits(limits))
        assert distance(found, wanted) == reference.least_distance(wanted, -4, 3, limits)[0]
        assert reference.keeps(found, RegisterLimits(limits))


TARGETS = st.lists(st.integers(-40, 40).map(lambda eighth: Fraction(eighth, 8)), min_size=1, max_size=5)
FACTORS = st.integers(0, 4)


@given(TARGETS, FACTORS, FACTORS, st.integers(0, 20))
def test_the_reference_chooses_the_same_codes(target: list[Fraction], up: int, down: int, budget: int) -> None:
    limits = (Limit(up, down, budget), Limit(down, up, budget + 1))
    codes = nearest(target, -8, 7)
    assert projected(codes, target, RegisterLimits(limits)) == reference.projected(codes, target, limits)


def test_of_equal_steps_the_first_weight_shrinks() -> None:
    two = [Fraction(2)] * 3
    assert projected([2, 2, 2], two, RegisterLimits((Limit(1, 1, 5),))) == [1, 2, 2]
    assert projected([2, 2, 2], two, RegisterLimits((Limit(1, 1, 4),))) == [1, 1, 2]
    # and of two signs at one price the negative one
    mixed = [Fraction(2), Fraction(-2)]
    assert projected([2, -2], mixed, RegisterLimits((Limit(1, 1, 3),))) == [2, -1]


def test_tiles_come_before_the_whole_column() -> None:
    target = [Fraction(3), Fraction(3), Fraction(1), Fraction(1)]
    limits = RegisterLimits((Limit(1, 1, 5),), (Limit(1, 1, 4),), 2)
    assert projected([3, 3, 1, 1], target, limits) == [2, 2, 0, 1]  # of the steps that are left the cheapest
    assert projected([3, 3, 1, 1], target, RegisterLimits((Limit(1, 1, 8),), (Limit(1, 1, 4),), 2)) == [2, 2, 1, 1]


def test_a_column_that_fits_is_left_alone() -> None:
    codes = np.array([[7, 1], [7, -1]])
    found = project(codes, codes * STEP, RegisterLimits((Limit(1, 1, 9),)))
    assert found[:, 1].tolist() == [1, -1]
    assert found[:, 0].sum() == 9
    assert codes.tolist() == [[7, 1], [7, -1]]


def test_targets_are_clamped_and_rounded() -> None:
    assert fixed_point(np.array([0.5, -1e9, 2.0**-17]), 4).tolist() == [1 << 15, -16 << 16, 0]
