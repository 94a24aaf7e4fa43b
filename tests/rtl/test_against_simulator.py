"""The hardware equals the simulator, bit by bit."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import golden, rtl
from ptqsim.rtl import CycleSchedule, Unit
from ptqsim.rtl.hardware.dot_product import dot_product
from ptqsim.rtl.hardware.tile import tile
from ptqsim.rtl.simulation.cxxrtl import CxxrtlModule, compile_modules
from tests.rtl import cases
from tests.rtl.needs import need

COLUMNS = 3
QUICK = [
    *cases.variants(5)[::13],
    *(Unit(*cases.formats(5)["uniform"], pq.Accumulator(10, outer, pq.Split(2, 9, inner)), cases.DEPTH)
      for inner, outer in (("saturate", "wrap"), ("wrap", "saturate"))),
]  # fmt: skip
WIDE = [
    cases.near_term(a, b, overflow, order, alignment, runtime, style, extra)
    for bits, extra in ((5, 0), (6, 1), (7, -1), (8, 0), (8, 1))
    for a, b in list(cases.formats(bits).values())[1:]
    for overflow in cases.OVERFLOWS[:2]
    for order, alignment, runtime, style in (
        (cases.ORDERS["sequential"], "product", False, "baugh_wooley"),
        (cases.ORDERS["sequential"], "product", True, "behavioral"),
        (cases.ORDERS["tree"], "operand", False, "behavioral"),
        (cases.ORDERS["split"], "deferred", False, "baugh_wooley"),
        (cases.ORDERS["split"], "product", True, "baugh_wooley"),
        (cases.ORDERS["tree"], "deferred", True, "behavioral"),
    )
]


@cache
def compiled() -> list[CxxrtlModule]:
    """Dot-product units, then tiles, of the quick variants: one library."""
    return compile_modules([dot_product(unit) for unit in QUICK] + [tile(unit, COLUMNS) for unit in QUICK])


def check(found: rtl.HardwareResult, a: pq.QuantizedArray, b: pq.QuantizedArray, unit: Unit) -> None:
    comparison = rtl.compare(found, rtl.expected(a, b, unit.accumulator))
    assert comparison.equal, f"{len(comparison.differ)} outputs differ, the first is {comparison.differ[0]}"


@pytest.mark.parametrize("number", range(len(QUICK)))
def test_dot_product_and_tile(number: int) -> None:
    """Outputs of every length, with gaps and without, after each other on the same hardware."""
    need("yosys", "g++")
    unit = QUICK[number]
    dot, columns = compiled()[number], compiled()[number + len(QUICK)]
    for depth, seed in ((1, None), (2, 3), (unit.depth - 1, 4), (unit.depth, 5)):
        a, b = cases.codes(unit, 12, depth, 9, seed or 0)
        check(rtl.dot_matmul(dot, unit, a, b, CycleSchedule(seed)), a, b, unit)
    check(rtl.tile_matmul(columns, unit, COLUMNS, a, b, CycleSchedule()), a, b, unit)
    check(rtl.tile_matmul(columns, unit, COLUMNS, a[:5], b[:, :4], CycleSchedule(7)), a[:5], b[:, :4], unit)


def test_a_register_is_seen_after_every_step() -> None:
    """The result of a unit that is fed without a break is, cycle after cycle, what the reference's register holds."""
    need("yosys", "g++")
    for number, unit in enumerate(QUICK):
        if unit.traps or unit.deferred or unit.lanes > 1 or unit.runtime_shift or unit.split:
            continue
        a, b = cases.codes(unit, 1, unit.depth, 1, number)
        feed = {"rst": 0, "in_valid": 1, "in_last": 0, "out_ready": 1}
        rows = {name: np.full(unit.depth + 2, value) for name, value in feed.items()}
        rows["rst"][0] = 1
        for name, line in (("a_code", a.codes[0]), ("b_code", b.codes[:, 0])):
            rows[name] = np.concatenate([[0], line, [0]]).astype(np.int64)
        found = compiled()[number].evaluate(rows)["out_result"]
        steps = pq.reference.trace(a.aligned()[0].tolist(), b.aligned()[:, 0].tolist(), unit.accumulator)[1]
        assert found[2:].tolist() == [step.after for step in steps]


def test_new_weights_between_rows() -> None:
    """w_restart lets in other weights; the rows before and after meet their own."""
    need("yosys", "g++")
    unit = next(unit for unit in QUICK if unit.lanes == 1 and not unit.runtime_shift)
    number = QUICK.index(unit) + len(QUICK)
    a, first = cases.codes(unit, 1, unit.depth, COLUMNS, 1)
    _, second = cases.codes(unit, 1, unit.depth, COLUMNS, 2)
    idle = {"rst": 0, "w_restart": 0, "w_valid": 0, "w_code": [0] * COLUMNS, "in_valid": 0, "a_code": 0, "out_ready": 1}
    cycles = [idle | {"rst": 1}]
    ends = []
    for weights in (first, second):
        cycles.append(idle | {"w_restart": 1})
        cycles += [idle | {"w_valid": 1, "w_code": codes.tolist()} for codes in weights.codes]
        cycles += [idle | {"in_valid": 1, "a_code": int(code)} for code in a.codes[0]]
        ends.append(len(cycles))
        cycles.append(idle)
    rows = {name: np.array([cycle[name] for cycle in cycles]) for name in idle}
    found = compiled()[number].evaluate(rows)
    assert found["out_valid"][ends].tolist() == [1, 1]
    for end, weights in zip(ends, (first, second), strict=True):
        trapped = found["out_trapped"][[end]].astype(bool) if unit.traps else None
        check(rtl.HardwareResult(found["out_result"][[end]], trapped), a, weights, unit)


def test_one_unit_serves_every_shift_that_it_was_built_for() -> None:
    need("yosys", "g++")
    number, unit = next((i, u) for i, u in enumerate(QUICK) if u.runtime_shift and isinstance(u.a, pq.TwinSoftmax))
    for shift in range(unit.a.shift + 1):
        a_format = pq.TwinSoftmax(unit.a.bits, shift)
        a, b = golden.stimulus(a_format, unit.b, 8, unit.depth, 8, seed=shift)
        check(rtl.dot_matmul(compiled()[number], unit, a, b), a, b, unit)
    wrong = golden.stimulus(pq.TwinSoftmax(unit.a.bits, unit.a.shift + 1), unit.b, 2, 3, 2)
    with pytest.raises(ValueError, match="the unit was built for"):
        rtl.dot_matmul(compiled()[number], unit, *wrong)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(5))
def test_a_million_steps_at_each_width(part: int) -> None:
    """k = 5 to 8, random and adversarial, registers about as wide as one term."""
    need("yosys", "g++")
    units = WIDE[part::5]
    for number, (unit, dot) in enumerate(
        zip(units, compile_modules([dot_product(unit) for unit in units]), strict=True)
    ):
        a, b = cases.codes(unit, 300, unit.depth, 260, number)
        assert a.shape[0] * b.shape[1] * unit.depth > 1_000_000
        check(rtl.dot_matmul(dot, unit, a, b), a, b, unit)
