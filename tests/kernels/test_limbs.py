"""Integers of two words against Python's."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from ptqsim.datapath.blocks import block_reference
from ptqsim.kernels.blocks import limbs

VALUES = st.one_of(
    st.integers(-(2**80), 2**80), st.builds(lambda s, k: s * 2**k, st.integers(-3, 3), st.integers(0, 78))
)


def words(value: int) -> tuple[np.int64, np.int64]:
    return np.int64(value >> 32), np.int64(value & 0xFFFFFFFF)


def whole(hi: int, lo: int) -> int:
    return (int(hi) << 32) + int(lo)


@given(VALUES, st.integers(-(2**63), 2**63 - 1), st.integers(0, 32))
def test_sums(value: int, term: int, shift: int) -> None:
    hi, lo = limbs.plus(*words(value), np.int64(term), np.int64(shift))
    assert 0 <= lo < 2**32
    assert whole(hi, lo) == value + (term << shift)


@given(VALUES, st.integers(0, 225))
def test_products(value: int, factor: int) -> None:
    assert whole(*limbs.times(*words(value), np.int64(factor))) == value * factor
    assert whole(*limbs.magnitude(*words(value))) == abs(value)
    assert limbs.length(*words(abs(value))) == abs(value).bit_length()


@given(VALUES, st.integers(-100, 70), st.booleans())
@example(2**63 - 1, 0, True)
@example((2**63 - 1) * 2 + 1, -1, True)
@example(-(2**63) * 2 - 1, -1, True)
@example(2**79, -32, False)
@example(-1, -96, False)
@example(3 << 40, -41, True)
@example(1 << 40, -41, True)
def test_rounding_to_a_grid(value: int, shift: int, half_even: bool) -> None:
    scaled = Fraction(value) * Fraction(2) ** shift
    expected = round(scaled) if half_even else math.floor(scaled)
    low, beyond = limbs.rounded(*words(value), np.int64(shift), half_even)
    assert (int(low) - expected) % 2**64 == 0
    fits = -(2**63) <= expected < 2**63
    assert beyond == (0 if fits else 1 if expected > 0 else -1)


@given(VALUES, st.integers(-100, 66))
def test_cutting(value: int, shift: int) -> None:
    found = abs(value) << shift if shift >= 0 else abs(value) >> -shift
    if found < 2**90:
        assert whole(*limbs.cut(*words(abs(value)), np.int64(shift))) == found


@given(VALUES, st.integers(-260, 140))
@example(2**24 + 1, 0)
@example((2**24 + 1) * 2**40 + 1, 0)
@example((2**24 + 3) * 2**40, -300)
@example(2**24 - 1, 104)
@example(2**25 - 1, 103)
@example(-1, -150)
def test_rounding_to_float32(value: int, exponent: int) -> None:
    exact = Fraction(value) * Fraction(2) ** exponent
    nearest = limbs.nearest_float32(*words(value), np.int64(exponent))
    assert float(nearest) == block_reference.float32(exact)
    toward_zero = limbs.float32_toward_zero(*words(value), np.int64(exponent))
    assert float(toward_zero) == block_reference.float32_toward_zero(exact)
