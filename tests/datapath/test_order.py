"""Orders of accumulation and their text form."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import numpy as np
import pytest

import ptqsim as pq
from ptqsim.datapath.order import Order, parse_order

TEXTS: list[tuple[Order, str]] = [
    (pq.Sequential(), "sequential"), (pq.Tree(16), "tree:16"), (pq.Tree(1), "tree:1"),
    (pq.Split(64, 20), "split:64:20"), (pq.Split(1, 63), "split:1:63"),
    (pq.Split(2, 16, "saturate"), "split:2:16:saturate"), (pq.Split(8, 20, "wrap"), "split:8:20:wrap"),
]  # fmt: skip


@pytest.mark.parametrize(("order", "text"), TEXTS, ids=str)
def test_the_text_goes_there_and_back(order: Order, text: str) -> None:
    assert str(order) == f"{order}" == text
    assert parse_order(text) == parse_order(str(order)) == order
    accumulator = pq.Accumulator(24, order=text)
    assert accumulator == pq.Accumulator(24, order=order)
    assert accumulator.order == order
    assert pq.Accumulator.from_dict(accumulator.to_dict()) == accumulator


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "unknown order ''; legal are 'sequential', 'tree:LANES', 'split:TILE:INNER_BITS'"),
        ("tee:4", "unknown order 'tee:4'.*Did you mean 'tree:LANES'"),
        ("tree", "order 'tree' can't be read.*try tree:16"),
        ("tree:x", "order 'tree:x' can't be read"),
        ("tree:4:4", "order 'tree:4:4' can't be read"),
        ("sequential:1", "order 'sequential:1' can't be read"),
        ("split:64", "order 'split:64' can't be read"),
        ("tree:" + "9" * 5000, "can't be read"),
        ("tree:0", "lanes must be an integer from 1"),
        ("split:64:saturate", "order 'split:64:saturate' can't be read"),
        ("split:64:20:clamp", "unknown overflow mode 'clamp'"),
        ("tree:4:wrap", "order 'tree:4:wrap' can't be read"),
        ("split:64:1", "inner_bits must be an integer from 2 to 63, got 1"),
    ],
)
def test_texts_that_are_refused(text: str, message: str) -> None:
    for make in (parse_order, lambda order: pq.Accumulator(order=order)):
        with pytest.raises(ValueError, match=message):
            make(text)


@pytest.mark.parametrize("order", [None, 16, pq.Tree, b"tree:16", ("tree", 16)], ids=str)
def test_other_types_are_refused(order: object) -> None:
    for make in (parse_order, lambda order: pq.Accumulator(order=order)):
        with pytest.raises(TypeError, match="order must be"):
            make(order)


def test_fields_are_enums_after_construction() -> None:
    """Names go in, members come out, in copies, pickles and replacements too."""
    accumulator = pq.Accumulator(24, "saturate", "tree:4", "operand")
    for same in (
        accumulator, copy.deepcopy(accumulator), pickle.loads(pickle.dumps(accumulator)),
        dataclasses.replace(accumulator), dataclasses.replace(accumulator, overflow="saturate"),
    ):  # fmt: skip
        assert same == accumulator
        assert same.overflow is pq.OverflowMode.SATURATE
        assert same.alignment is pq.Alignment.OPERAND
        assert same.order == pq.Tree(4)
    assert pq.Uniform(8, 1.0, "half_up").rounding is pq.RoundingMode.HALF_UP
    assert pq.TwinSoftmax(8, 3, range_choice="nearest").range_choice is pq.RangeChoice.NEAREST
    assert pq.Requantizer(1, 0, "truncate").rounding is pq.RequantizeRounding.TRUNCATE


@pytest.mark.parametrize(("order", "field"), [(pq.Tree(4), "lanes"), (pq.Split(4, 20), "tile")])
def test_an_order_that_was_changed_is_another_one(order: pq.Tree | pq.Split, field: str) -> None:
    accumulator = pq.Accumulator(12, "saturate", order)
    object.__setattr__(order, field, 0)
    assert getattr(accumulator.order, field) == 4, "an accumulator has an order of its own"
    a = pq.QuantizedArray(np.ones((2, 8), np.uint8), pq.Uniform(8, 1.0))
    b = pq.QuantizedArray(np.ones((8, 2), np.uint8), pq.Uniform(8, 1.0))
    assert pq.matmul(a, b, accumulator).acc.tolist() == [[8, 8], [8, 8]]
    object.__setattr__(accumulator.order, field, 0)
    with pytest.raises(ValueError, match=f"{field} must be an integer from 1"):
        pq.matmul(a, b, accumulator)
