"""A wrong type is a TypeError of one line at every public constructor and function of the simulator."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import formats, golden, rtl
from ptqsim.cli.framework.errors import explain
from ptqsim.common.choice import Choice
from ptqsim.datapath.order import parse_order
from ptqsim.errors import ArgumentTypeError

EIGHT = pq.Uniform(8, 1.0)
ONE = pq.QuantizedArray([[1]], EIGHT)
WIDE = pq.Accumulator()


@cache
def blocks() -> pq.BlockArray:
    return pq.quantize_blocks(np.ones((1, 32)), pq.MXFP4)


# One argument each; the others are right.
INTEGERS: dict[str, Callable[[Any], Any]] = {
    "Uniform bits": lambda x: pq.Uniform(x, 1.0),
    "TwinSoftmax bits": lambda x: pq.TwinSoftmax(x, 3),
    "TwinSoftmax shift": lambda x: pq.TwinSoftmax(8, x),
    "TwinGELU bits": lambda x: pq.TwinGELU(x, 3, 1.0),
    "TwinGELU shift": lambda x: pq.TwinGELU(8, x, 1.0),
    "Log2 bits": lambda x: pq.Log2(x),
    "Log2 root": lambda x: pq.Log2(4, root=x),
    "Log2 fraction_bits": lambda x: pq.Log2(4, root=2, fraction_bits="8" if x is None else x),
    "Minifloat exponent_bits": lambda x: pq.Minifloat(x, 2),
    "Minifloat mantissa_bits": lambda x: pq.Minifloat(2, x),
    "Minifloat bias": lambda x: pq.Minifloat(2, 2, "8" if x is None else x),
    "PWLQ bits": lambda x: pq.PWLQ(x, 0.1, 0.5, 1.0),
    "ReleasedTwinSoftmax bits": lambda x: formats.ReleasedTwinSoftmax(x, 0.5),
    "ReleasedTwinGELU bits": lambda x: formats.ReleasedTwinGELU(x, 0.1, 0.2),
    "Block block": lambda x: pq.Block(pq.E2M1, x),
    "FixedPoint bits": lambda x: pq.FixedPoint(x, 0),
    "FixedPoint weight": lambda x: pq.FixedPoint(8, x),
    "AlignedFloat32 fraction_bits": lambda x: pq.AlignedFloat32(x),
    "AlignedFloat32 blocks": lambda x: pq.AlignedFloat32(8, x),
    "quantize_blocks axis": lambda x: pq.quantize_blocks([1.0], pq.MXFP4, x),
    "BlockArray depth": lambda x: pq.BlockArray(np.zeros((1, 32), np.uint8), [0], pq.MXFP4, x),
    "Accumulator bits": lambda x: pq.Accumulator(x),
    "Tree lanes": lambda x: pq.Tree(x),
    "Split tile": lambda x: pq.Split(x, 20),
    "Split inner_bits": lambda x: pq.Split(64, x),
    "Requantizer multiplier": lambda x: pq.Requantizer(x, 0),
    "Requantizer shift": lambda x: pq.Requantizer(1, x),
    "Requantizer.of multiplier_bits": lambda x: pq.Requantizer.of(0.5, x),
    "pack bits": lambda x: pq.pack([1], x),
    "unpack bits": lambda x: pq.unpack(b"1", x, 1),
    "required_bits depth": lambda x: pq.required_bits(EIGHT, EIGHT, x),
    "datatype depth": lambda x: pq.bounds.datatype(EIGHT, EIGHT, x),
    "row_stochastic depth": lambda x: pq.bounds.row_stochastic(EIGHT, EIGHT, x),
    "stimulus rows": lambda x: golden.stimulus(EIGHT, EIGHT, x, 1, 1),
    "stimulus seed": lambda x: golden.stimulus(EIGHT, EIGHT, 1, 1, 1, seed=x),
    "Unit depth": lambda x: rtl.Unit(EIGHT, EIGHT, WIDE, depth=x),
    "PWLQUnit bits": lambda x: rtl.PWLQUnit(bits=x),
    "RequantizerUnit acc_bits": lambda x: rtl.RequantizerUnit(pq.Requantizer(1, 0), acc_bits=x),
    "operand code": lambda x: pq.reference.operand(x, EIGHT),
}
NUMBERS: dict[str, Callable[[Any], Any]] = {
    "Uniform scale": lambda x: pq.Uniform(8, x),
    "with_scale": lambda x: EIGHT.with_scale(x),
    "Minifloat scale": lambda x: pq.Minifloat(2, 2, scale=x),
    "Block tensor_scale": lambda x: pq.Block(pq.E2M1, 16, "e4m3", x),
    "TwinGELU scale": lambda x: pq.TwinGELU(8, 3, x),
    "PWLQ breakpoint": lambda x: pq.PWLQ(8, 0.1, 0.5, x),
    "ReleasedTwinSoftmax split": lambda x: formats.ReleasedTwinSoftmax(8, x),
    "Requantizer.of factor": lambda x: pq.Requantizer.of(x),
    "row_stochastic row_sum": lambda x: pq.bounds.row_stochastic(EIGHT, EIGHT, 4, x),
}
SCALES: dict[str, Callable[[Any], Any]] = {  # a vector is legal
    "requantize scale": lambda x: pq.requantize([1], x, EIGHT),
}
NAMES: dict[str, Callable[[Any], Any]] = {
    "Uniform rounding": lambda x: pq.Uniform(8, 1.0, x),
    "TwinSoftmax range_choice": lambda x: pq.TwinSoftmax(8, 3, range_choice=x),
    "Log2 rounding": lambda x: pq.Log2(4, x),
    "Minifloat special": lambda x: pq.Minifloat(4, 3, special=x),
    "Block scale": lambda x: pq.Block(pq.E2M1, scale=x),
    "FixedPoint overflow": lambda x: pq.FixedPoint(8, 0, x),
    "FixedPoint rounding": lambda x: pq.FixedPoint(8, 0, "wrap", x),
    "Accumulator overflow": lambda x: pq.Accumulator(overflow=x),
    "Accumulator alignment": lambda x: pq.Accumulator(alignment=x),
    "Accumulator order": lambda x: pq.Accumulator(order=x),
    "parse_order": parse_order,
    "Requantizer rounding": lambda x: pq.Requantizer(1, 0, x),
    "Requantizer.of rounding": lambda x: pq.Requantizer.of(0.5, rounding=x),
    "requantize rounding": lambda x: pq.requantize([1], 1.0, EIGHT, x),
    "requantize rounding of reals": lambda x: pq.requantize([1], 1.0, EIGHT, x, multiplier_bits=None),
    "datatype alignment": lambda x: pq.bounds.datatype(EIGHT, EIGHT, 4, x),
    "Choice.of": pq.OverflowMode.of,
    "stimulus pattern": lambda x: golden.stimulus(EIGHT, EIGHT, 1, 1, 1, x),
    "Unit multiplier": lambda x: rtl.Unit(EIGHT, EIGHT, WIDE, multiplier=x),
    "Unit name": lambda x: rtl.Unit(EIGHT, EIGHT, WIDE, name=x),
    "PWLQUnit overflow": lambda x: rtl.PWLQUnit(overflow=x),
}
OBJECTS: dict[str, Callable[[Any], Any]] = {
    "QuantizedArray format": lambda x: pq.QuantizedArray([1], x),
    "quantize format": lambda x: pq.quantize([1.0], x),
    "quantize_blocks format": lambda x: pq.quantize_blocks([1.0], x),
    "Block element": lambda x: pq.Block(x),
    "block_reference a": lambda x: pq.block_reference.matmul(x, blocks(), pq.Float32()),
    "block_reference register": lambda x: pq.block_reference.matmul(blocks(), blocks(), x),
    "block_bounds format": lambda x: pq.block_bounds.datatype(x, pq.MXFP8, 4, pq.FixedPoint(8, 0)),
    "block_bounds register": lambda x: pq.block_bounds.datatype(pq.MXFP8, pq.MXFP8, 4, x),
    "block_bounds weights": lambda x: pq.block_bounds.weight_aware(pq.MXFP8, x, pq.FixedPoint(8, 0)),
    "matmul b of blocks": lambda x: pq.matmul(blocks(), x, pq.Float32()),
    "matmul register": lambda x: pq.matmul(blocks(), blocks(), x),
    "matmul a": lambda x: pq.matmul(x, ONE, WIDE),
    "matmul b": lambda x: pq.matmul(ONE, x, WIDE),
    "matmul accumulator": lambda x: pq.matmul(ONE, ONE, x),
    "requantize format": lambda x: pq.requantize([1], 1.0, x),
    "required_bits format": lambda x: pq.required_bits(EIGHT, x, 4),
    "weight_aware format": lambda x: pq.bounds.weight_aware(x, ONE),
    "weight_aware weights": lambda x: pq.bounds.weight_aware(EIGHT, x),
    "row_stochastic format": lambda x: pq.bounds.row_stochastic(x, EIGHT, 4),
    "row_stochastic b": lambda x: pq.bounds.row_stochastic(EIGHT, x, 4),
    "stimulus format": lambda x: golden.stimulus(x, EIGHT, 1, 1, 1),
    "compute a": lambda x: golden.compute(x, ONE, WIDE),
    "Unit format": lambda x: rtl.Unit(x, EIGHT, WIDE),
    "Unit accumulator": lambda x: rtl.Unit(EIGHT, EIGHT, x),
    "RequantizerUnit requantizer": rtl.RequantizerUnit,
    "operand format": lambda x: pq.reference.operand(1, x),
    "trace accumulator": lambda x: pq.reference.trace([1], [1], x),
    "dot accumulator": lambda x: pq.reference.dot([1], [1], x),
    "requantized": lambda x: pq.reference.requantized(1, x),
}
WRONG: list[tuple[dict[str, Callable[[Any], Any]], list[object]]] = [
    (INTEGERS, ["8", 3.0, 3.5, None, [3], True, 1j, np.ones(2), object()]),
    (NUMBERS, ["0.5", b"1", [0.5], 1j, np.ones(2), True, np.True_, np.array(False), object()]),
    (SCALES, ["0.5", b"1", ["0.5"], 1j, [1j], True, np.True_, np.array([False]), object(), [None]]),
    (NAMES, [3, 0.5, b"wrap", ["wrap"], np.ones(2), object()]),
    (OBJECTS, ["x", 3, 0.5, [1], {}, np.ones(2), pq.Uniform, object()]),
]
CASES = {name: (act, values) for acts, values in WRONG for name, act in acts.items()}


@pytest.mark.parametrize(("act", "values"), CASES.values(), ids=CASES)
def test_wrong_types_are_type_errors_of_one_line(act: Callable[[Any], Any], values: list[object]) -> None:
    for value in values:
        with pytest.raises(ArgumentTypeError) as caught:
            act(value)
        status = explain(caught.value)
        assert status is not None
        assert status[0] == 2
        assert status[1] == " ".join(str(caught.value).split())


@pytest.mark.parametrize(
    ("act", "value"),
    [
        (INTEGERS["Uniform bits"], 1), (INTEGERS["Split tile"], 0), (NUMBERS["Uniform scale"], -1.0),
        (NUMBERS["Uniform scale"], float("nan")), (NAMES["Accumulator overflow"], "wrp"),
        (NAMES["Accumulator order"], "tre:4"), (NAMES["Unit name"], "8 bit"),
        (OBJECTS["requantize format"], pq.Log2(4)),
        (OBJECTS["Unit format"], pq.Uniform(8, scale=[1.0, 2.0], axis=-1)), (lambda x: pq.unpack(b"1", 8, x), -1),
    ],
)  # fmt: skip
def test_wrong_values_are_value_errors(act: Callable[[Any], Any], value: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each message has its test; here the type counts
        act(value)


def test_shapes_and_data_of_other_types() -> None:
    for shape in (1.0, [1.0], "1", [None], [[1]], object()):
        with pytest.raises(ArgumentTypeError, match="shape must be an integer or a sequence of integers"):
            pq.unpack(b"1", 8, shape)  # type: ignore[arg-type]
    for data in (None, 3, "1", [1]):
        with pytest.raises(ArgumentTypeError, match="data must be bytes"):
            pq.unpack(data, 8, 1)  # type: ignore[arg-type]


def test_a_type_error_that_is_a_bug_keeps_its_traceback() -> None:
    assert explain(TypeError("unsupported operand type(s)")) is None
    assert explain(ArgumentTypeError("bits must be\nan integer")) == (2, "bits must be an integer")


def test_data_of_a_file_is_a_value_whatever_its_types() -> None:
    """Types inside of plain data come from a file, not from the caller's arguments."""
    for data in ({"bits": "24"}, {"overflow": 3}, {"order": {"kind": 3}}, {"order": {"kind": "tree", "lanes": 1.5}}):
        with pytest.raises(ValueError, match="cannot make an accumulator"):
            pq.Accumulator.from_dict(data)
    for data in ({}, {"kind": 3}, {"kind": []}, {"kind": "uniform", "bits": "8", "scale": 1.0}):
        with pytest.raises(ValueError, match="cannot make a number format"):
            formats.from_dict(data)


def test_members_and_names_are_taken_alike() -> None:
    class Tint(Choice):
        RED = "red"

    assert Tint.of("red") is Tint.of(Tint.RED) is Tint.RED
    with pytest.raises(ValueError, match="unknown tint 'rad'; legal are 'red'"):
        Tint.of("rad")
    with pytest.raises(TypeError, match=r"^color must be a string, got 3 of type int; legal are 'red'$"):
        Tint.of(3, "color")  # type: ignore[arg-type]
