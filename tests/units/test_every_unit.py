"""Properties of every formulation: the kernel equals the reference, and no value leaves its stated interval."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ptqsim as pq
from ptqsim import units
from tests.units.cases import CASES, inputs_of, row_length


@pytest.mark.parametrize("name", CASES)
def test_the_kernel_equals_the_reference_and_values_stay_in_their_widths(name: str) -> None:
    unit = CASES[name]
    inputs = inputs_of(unit, rows=60, seed=1)
    trace, widths = unit.trace(*inputs), unit.widths()
    assert np.array_equal(unit(*inputs), trace["code"])
    assert list(trace) == list(widths)
    for value, interval in widths.items():
        assert interval.lowest <= trace[value].min(), value
        assert trace[value].max() <= interval.highest, value


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(sorted(CASES)), data=st.data())
def test_any_row(name: str, data: Any) -> None:
    unit = CASES[name]
    inputs = []
    for one in unit.inputs:
        ends = st.integers(-(1 << (one.bits - 1)), (1 << (one.bits - 1)) - 1)
        inputs.append(data.draw(st.lists(ends, min_size=row_length(unit), max_size=row_length(unit))))
    assert unit(*inputs).tolist() == unit.reference(*inputs).tolist()


@pytest.mark.parametrize("name", CASES)
def test_shapes_threads_and_batches_change_nothing(name: str) -> None:
    unit = CASES[name]
    inputs = inputs_of(unit, rows=12, seed=2)
    whole = unit(*inputs)
    assert whole.dtype == unit.out_format.code_dtype
    deep = unit(*(one.reshape(2, 3, 2, -1) for one in inputs))
    assert np.array_equal(deep.reshape(whole.shape), whole)
    one_by_one = [unit(*(one[row] for one in inputs)) for row in range(12)]
    assert np.array_equal(np.stack(one_by_one), whole)
    strided = unit(*(np.asfortranarray(one.astype(np.int32)) for one in inputs))
    assert np.array_equal(strided, whole)
    before = pq.get_num_threads()
    try:
        pq.set_num_threads(3)
        many = [np.repeat(one, 300, axis=0) for one in inputs]
        assert np.array_equal(unit(*many), np.repeat(whole, 300, axis=0))
    finally:
        pq.set_num_threads(before)


def test_arrays_without_rows_have_no_codes() -> None:
    for name, unit in CASES.items():
        empty = np.zeros((0, row_length(unit)), np.int64)
        assert unit(*[empty] * len(unit.inputs)).shape == empty.shape, name


def test_copies_are_equal() -> None:
    for name, unit in CASES.items():
        for other in (copy.deepcopy(unit), pickle.loads(pickle.dumps(unit)), units.from_dict(unit.to_dict())):
            assert other == unit, name
            assert hash(other) == hash(unit), name


def test_every_formulation_is_listed_with_its_source() -> None:
    assert {unit.kind for unit in CASES.values()} == set(units.UNITS)
    for kind, unit in units.UNITS.items():
        assert unit.kind == kind
        assert unit.source


@pytest.mark.parametrize("name", CASES)
def test_bad_inputs(name: str) -> None:
    unit = CASES[name]
    inputs = inputs_of(unit, rows=8, seed=3)
    with pytest.raises(TypeError, match=r"takes \d inputs \("):
        unit(*inputs, inputs[0])
    for wrong in (inputs[0].astype(float), inputs[0] > 0, "x"):
        with pytest.raises(TypeError, match=r"must be integers of|must be an array"):
            unit(wrong, *inputs[1:])
    with pytest.raises(ValueError, match="at least one axis"):
        unit(*[0] * len(inputs))
    bits = unit.inputs[0].bits
    wide = inputs[0].copy()
    wide[3, 2] = 1 << (bits - 1)
    with pytest.raises(ValueError, match=rf"has {1 << (bits - 1)} at index \(3, 2\), outside .*the {bits} bits"):
        unit(wide, *inputs[1:])
    wide[3, 2] = -(1 << (bits - 1)) - 1
    with pytest.raises(ValueError, match="the unit is made for"):
        unit(wide, *inputs[1:])
    if unit.channels is not None:
        with pytest.raises(ValueError, match=f"constants for {unit.channels} channels, got rows of 5"):
            unit(*(one[:, :5] for one in inputs))
    elif unit.longest < 1000:
        with pytest.raises(ValueError, match=f"takes rows of up to {unit.longest} values, got {unit.longest + 1}"):
            unit(np.zeros(unit.longest + 1, int))
    if len(inputs) > 1:
        with pytest.raises(ValueError, match="must have one shape"):
            unit(inputs[0], inputs[1][:4])


def test_data_of_a_file() -> None:
    data = CASES["softmax-64"].to_dict()
    for wrong in ({}, {"kind": "softmin"}, data | {"extra": 1}, data | {"table": [3, 4]}, {"kind": 3}):
        with pytest.raises(ValueError, match=r"unknown unit|unit must be|cannot make|must not rise"):
            units.from_dict(wrong)
