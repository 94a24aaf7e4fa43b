"""Frozen objects that were changed in place: what no constructor would make is used nowhere."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import golden, reference, rtl
from ptqsim.datapath import bounds

EIGHT = pq.Uniform(8, 1.0)
NARROW = pq.Accumulator(14, "saturate")


def ones(shape: tuple[int, ...] = (8, 1)) -> pq.QuantizedArray:
    return pq.QuantizedArray(np.ones(shape, np.uint8), EIGHT)


# A changed format or requantizer in, what it gives out; each for values that the constructor refuses and that it takes.
USES: dict[str, Callable[[pq.NumberFormat], object]] = {
    "quantize": lambda fmt: pq.quantize([1.0], fmt),
    "QuantizedArray": lambda fmt: pq.QuantizedArray([1], fmt),
    "encode": lambda fmt: fmt.encode([1.0]),
    "decode": lambda fmt: fmt.decode([1]),
    "align": lambda fmt: fmt.align([1]),
    "fake_quantize": lambda fmt: fmt.fake_quantize([1.0]),
    "requantize": lambda fmt: pq.requantize([1], 1.0, fmt),
    "datatype": lambda fmt: bounds.datatype(fmt, EIGHT, 4),
    "datatype right": lambda fmt: bounds.required_bits(EIGHT, fmt, 4),
    "weight_aware": lambda fmt: bounds.weight_aware(fmt, ones()),
    "row_stochastic": lambda fmt: bounds.row_stochastic(EIGHT, fmt, 4),
    "stimulus": lambda fmt: golden.stimulus(EIGHT, fmt, 1, 1, 1),
    "operand": lambda fmt: reference.operand(1, fmt),
    "Unit": lambda fmt: rtl.Unit(EIGHT, fmt, NARROW),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_format_that_no_constructor_would_make_is_used_nowhere(use: Callable[[pq.NumberFormat], object]) -> None:
    changed = pq.Uniform(8, 1.0)
    use(changed)
    for bits, error in ((40, ValueError), ("8", TypeError), (True, TypeError)):
        object.__setattr__(changed, "bits", bits)
        with pytest.raises(error, match="bits must be an integer from 2 to 16"):
            use(changed)


def test_a_format_that_was_changed_into_another_is_that_one() -> None:
    changed = pq.Uniform(8, 1.0)
    assert changed.encode([7.0, 9.0]).tolist() == [7, 9]
    object.__setattr__(changed, "bits", 4)
    assert changed.encode([7.0, 9.0, -9.0]).tolist() == [7, 7, 8]
    assert changed.fake_quantize(np.float32([9, -9])).tolist() == [7, -8]
    assert changed.decode([7, 8]).tolist() == [7, -8]
    assert pq.requantize([9, -9], 1.0, changed).tolist() == [7, 8]


def test_weights_whose_format_was_changed_have_no_bound() -> None:
    weights = pq.QuantizedArray(np.full((8, 1), 129, np.uint8), pq.TwinSoftmax(8, 4))
    for format_, message in (
        (pq.Uniform(4, 1.0), "codes of 4 bits go from 0 to 15, got 129"),
        (None, "format must be"),
    ):
        object.__setattr__(weights, "format", format_)
        with pytest.raises(ValueError, match=message):
            bounds.weight_aware(EIGHT, weights)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("multiplier", 0, "multiplier must be an integer from 1 to"), ("shift", 99, "shift must be an integer"),
        ("multiplier", 2.5, "multiplier must be an integer"), ("rounding", "up", "unknown requantize rounding 'up'"),
    ],
)  # fmt: skip
def test_a_requantizer_that_no_constructor_would_make_computes_nothing(field: str, value: object, message: str) -> None:
    changed = pq.Requantizer(3, 1)
    unit = rtl.RequantizerUnit(changed)
    object.__setattr__(changed, field, value)
    for use in (
        lambda: changed.apply([1]),
        lambda: reference.requantized(1, changed),
        lambda: rtl.RequantizerUnit(changed),
    ):
        with pytest.raises(ValueError, match=message):
            use()
    assert unit.requantizer == pq.Requantizer(3, 1)  # its own


def test_a_requantizer_that_was_changed_into_another_is_that_one() -> None:
    changed = pq.Requantizer(3, 1)
    assert changed.apply([5]).tolist() == [8]  # 7.5, a half away from zero
    object.__setattr__(changed, "rounding", "truncate")
    assert changed.apply([5]).tolist() == [reference.requantized(5, changed)] == [7]


def test_an_accumulator_that_no_constructor_would_make_is_used_nowhere() -> None:
    changed = pq.Accumulator(14)
    unit = rtl.Unit(EIGHT, EIGHT, changed)
    object.__setattr__(changed, "bits", 99)
    for use in (
        lambda: reference.dot([1], [1], changed), lambda: reference.trace([1], [1], changed),
        lambda: reference.matmul([[1]], [[1]], changed), lambda: golden.compute(ones((1, 8)), ones(), changed),
        lambda: rtl.Unit(EIGHT, EIGHT, changed), lambda: pq.matmul(ones((1, 8)), ones(), changed),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="accumulator bits must be an integer from 2 to 63"):
            use()
    assert unit.accumulator == pq.Accumulator(14)
