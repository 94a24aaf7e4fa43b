"""Limits on weights: necessary and sufficient for no input to overflow, and what the weight-aware bound says."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ptqsim as pq
from ptqsim import fitting
from ptqsim.fitting import reference
from ptqsim.fitting.limits import Limit, RegisterLimits

INPUTS = [
    pq.Uniform(2, 1.0),
    pq.Uniform(2, 1.0, signed=False),
    pq.Uniform(2, 1.0, signed=False, zero_point=2),
    pq.Uniform(2, 1.0, zero_point=-1),
    pq.TwinSoftmax(2, 1),
    pq.TwinGELU(3, 1, 1.0),
]
DATAPATHS = [
    pq.Accumulator(4),
    pq.Accumulator(5, order="tree:2"),
    pq.Accumulator(4, alignment="deferred"),
    pq.Accumulator(5, order="split:2:4"),
    pq.Accumulator(4, zero_point="correction"),
    pq.Accumulator(5, order="split:2:4", zero_point="correction"),
    pq.Accumulator(4, order="split:1:3", alignment="deferred"),
]


@pytest.mark.parametrize("accumulator", DATAPATHS, ids=lambda a: f"{a.bits}-{a.order}-{a.alignment}-{a.zero_point}")
@pytest.mark.parametrize("a_format", INPUTS, ids=lambda f: f.short())
def test_limits_hold_exactly_where_no_input_overflows(a_format: pq.NumberFormat, accumulator: pq.Accumulator) -> None:
    """Every input against every column of three weights of 2 bits."""
    b_format = pq.Uniform(2, 1.0)
    limits = fitting.register_limits(a_format, b_format, accumulator)
    inputs = pq.QuantizedArray(np.array(list(product(range(a_format.code_count), repeat=3))), a_format)
    for codes in product(range(4), repeat=3):
        column = pq.QuantizedArray(np.array(codes)[:, None], b_format)
        overflow = pq.matmul(inputs, column, accumulator).overflow
        assert overflow is not None
        values = [int(value) for value in column.aligned()[:, 0]]
        assert reference.keeps(values, limits) == (overflow.outputs == 0) == fitting.fits(a_format, column, accumulator)


def test_both_answers_occur() -> None:
    for accumulator in DATAPATHS:
        limits = [fitting.register_limits(a_format, pq.Uniform(2, 1.0), accumulator) for a_format in INPUTS]
        columns = list(product(range(-2, 2), repeat=3))
        assert len({reference.keeps(column, limit) for column in columns for limit in limits}) == 2


def test_a_correction_widens_the_tile_only() -> None:
    a_format, b_format = pq.Uniform(8, 1.0, signed=False, zero_point=100), pq.Uniform(8, 1.0)
    operand, correction = (
        fitting.register_limits(a_format, b_format, pq.Accumulator(20, order="split:8:16", zero_point=place))
        for place in ("operand", "correction")
    )
    assert operand.whole == correction.whole == (Limit(100, 155, 1 << 19), Limit(155, 100, (1 << 19) - 1))
    assert operand.tiles == (Limit(100, 155, 1 << 15), Limit(155, 100, (1 << 15) - 1))
    assert correction.tiles == (Limit(0, 255, 1 << 15), Limit(255, 0, (1 << 15) - 1))
    assert operand.tile == 8


def test_an_implied_limit_is_left_out() -> None:
    limits = fitting.register_limits(
        pq.TwinGELU(4, 2, 1.0), pq.Uniform(4, 1.0), pq.Accumulator(9, alignment="deferred")
    )
    assert limits == RegisterLimits((Limit(0, 7, 255), Limit(7, 0, 255)))
    assert limits.largest() == (36, 36)
    assert RegisterLimits((Limit(2, 0, 7),)).largest() == (3, (1 << 63) - 1)


def test_the_budgets_of_a2q_and_a2q_plus_are_special_cases() -> None:
    """Colbert et al. 2023: ||w|| <= (2^(P-1) - 1) 2^(signed - N); 2024: <= (2^P - 2) / (2^N - 1) where sum w = 0."""
    for bits, width in product((2, 4, 8), (12, 16, 20)):
        for signed in (False, True):
            limits = fitting.register_limits(
                pq.Uniform(bits, 1.0, signed=signed), pq.Uniform(8, 1.0), pq.Accumulator(width)
            )
            a2q = int(((1 << (width - 1)) - 1) / (1 << (bits - signed)))
            plus = int(((1 << width) - 2) / ((1 << bits) - 1)) // 2
            for norm, positive in ((a2q, 0), (a2q, a2q), (a2q, a2q // 3), (2 * plus, plus)):
                assert all(limit.holds(positive, norm - positive) for limit in limits.whole)
            # No weights of a greater norm than (2^P - 1) / (2^N - 1) keep both limits.
            most = ((1 << width) - 1) // ((1 << bits) - 1)
            sums = range(most + 2)
            assert not any(all(one.holds(p, most + 1 - p) for one in limits.whole) for p in sums[:: max(1, most // 99)])


@given(st.data())
def test_a_certificate_says_what_the_limits_say(data: st.DataObject) -> None:
    a_format = data.draw(st.sampled_from([pq.Uniform(4, 1.0), *INPUTS]))
    b_format = pq.Uniform(4, 1.0)
    place = data.draw(st.sampled_from(["operand", "correction"]))
    alignment = data.draw(st.sampled_from(["product", "operand", "deferred"]))
    order = data.draw(st.sampled_from(["sequential", "tree:3", "split:2:5", "split:3:7"]))
    accumulator = pq.Accumulator(data.draw(st.integers(3, 9)), order=order, alignment=alignment, zero_point=place)
    codes = data.draw(st.lists(st.integers(0, 15), min_size=1, max_size=7))
    column = pq.QuantizedArray(np.array(codes)[:, None], b_format)
    limits = fitting.register_limits(a_format, b_format, accumulator)
    values = [int(value) for value in column.aligned()[:, 0]]
    assert fitting.fits(a_format, column, accumulator) == reference.keeps(values, limits)


def test_refusals() -> None:
    a_format = pq.Uniform(8, 1.0)
    with pytest.raises(ValueError, match="legal are Uniform weights"):
        fitting.register_limits(a_format, pq.E4M3, pq.Accumulator(16))  # type: ignore[arg-type]
    shifted = pq.Uniform(4, 1.0, zero_point=3)
    with pytest.raises(ValueError, match=r"zero point of 3 .* legal is a zero point of 0"):
        fitting.register_limits(a_format, shifted, pq.Accumulator(16, zero_point="correction"))
    assert fitting.register_limits(a_format, shifted, pq.Accumulator(16)).whole
