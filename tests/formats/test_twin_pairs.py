"""The ways to choose the two scales of a GELU format."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erf

import ptqsim as pq
from ptqsim.formats import GELU_MIN


def test_gelu_minimum_is_covered() -> None:
    x = np.linspace(-0.76, -0.74, 2_000_001)
    lowest = (x * 0.5 * (1 + erf(x / math.sqrt(2)))).min()
    assert lowest == pytest.approx(-0.1699712074799037, abs=1e-15)
    assert GELU_MIN <= lowest <= GELU_MIN + 4e-8


@given(st.integers(2, 16), st.integers(0, 32))
def test_fixed_negative_just_covers(bits: int, shift: int) -> None:
    pair = pq.TwinGELU.fixed_negative(bits, shift)
    assert pair.real_min == pytest.approx(GELU_MIN, rel=1e-15)
    assert pair.positive_scale == pair.scale * 2**shift


@given(st.integers(2, 16), st.floats(1e-6, 10.0), st.integers(0, 32))
def test_covering_takes_the_largest_shift_that_covers(bits: int, positive_scale: float, max_shift: int) -> None:
    pair = pq.TwinGELU.covering(bits, positive_scale, max_shift=max_shift)
    assert pair.positive_scale == positive_scale
    top = 2 ** (bits - 1) - 1

    def covers(shift: int) -> bool:
        return top * positive_scale / 2**shift >= -GELU_MIN

    if pair.shift:
        assert covers(pair.shift)
    assert pair.shift == max_shift or not covers(pair.shift + 1)


def test_softmax_scales() -> None:
    for bits in range(2, 17):
        for shift in (0, 1, 11, 24):
            twin = pq.TwinSoftmax(bits, shift)
            assert twin.scale == 2.0 ** -(bits - 1 + shift)
            assert twin.scale * 2**shift == 2.0 ** -(bits - 1)
            assert twin.split == 2**-shift
            assert twin.real_max == 1 - 2.0 ** -(bits - 1)
