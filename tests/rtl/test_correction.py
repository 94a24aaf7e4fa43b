"""Zero points that are corrected for behind the multiplier: the hardware equals the simulator, bit by bit."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import rtl
from ptqsim.rtl import CycleSchedule, Unit
from ptqsim.rtl.hardware.correction import rest_signal, rest_unit, row_sum_signal, times
from ptqsim.rtl.hardware.dot_product import dot_product
from ptqsim.rtl.hardware.tile import tile
from ptqsim.rtl.simulation.cxxrtl import CxxrtlModule, compile_modules
from tests.rtl import cases
from tests.rtl.needs import need

COLUMNS = 3
QUICK = cases.corrected(2)[9::16]
WIDE = [unit for bits in (7, 8) for unit in cases.corrected(bits)]


@cache
def compiled() -> list[CxxrtlModule]:
    """Dot-product units, then one tile."""
    return compile_modules([*map(dot_product, QUICK), *(tile(unit, COLUMNS) for unit in QUICK[:1])])


def check(found: rtl.HardwareResult, a: pq.QuantizedArray, b: pq.QuantizedArray, unit: Unit) -> None:
    comparison = rtl.compare(found, rtl.expected(a, b, unit.accumulator))
    assert comparison.equal, f"{len(comparison.differ)} outputs differ, the first is {comparison.differ[0]}: {unit}"


def every_row(unit: Unit, depth: int) -> tuple[pq.QuantizedArray, pq.QuantizedArray]:
    """Every row and every column of `depth` codes."""
    rows, columns = (np.array(list(product(range(fmt.code_count), repeat=depth)), np.int64) for fmt in (unit.a, unit.b))
    return pq.QuantizedArray(rows, unit.a), pq.QuantizedArray(columns.T, unit.b)


def test_the_quick_units_are_of_every_kind() -> None:
    assert {str(unit.accumulator.overflow) for unit in QUICK} == set(cases.OVERFLOWS)
    assert {str(unit.accumulator.order.kind) for unit in QUICK} == set(cases.ORDERS)
    assert {(unit.preloads, unit.adds_rest) for unit in QUICK} == {(True, True), (True, False), (False, True)}
    assert any(unit.deferred and unit.twins for unit in QUICK)


@pytest.mark.parametrize("number", range(len(QUICK)))
def test_every_row_and_column_of_up_to_two_codes(number: int) -> None:
    """All of them, and then corner and random codes of the whole depth, with gaps, on the unit and on the tile."""
    need("yosys", "g++")
    unit, dot = QUICK[number], compiled()[number]
    for depth in (1, 2):
        a, b = every_row(unit, depth)
        check(rtl.dot_matmul(dot, unit, a, b, CycleSchedule(depth)), a, b, unit)
    a, b = cases.codes(unit, 12, unit.depth, 8, number)
    check(rtl.dot_matmul(dot, unit, a, b, CycleSchedule(3)), a, b, unit)
    for tiled in compiled()[len(QUICK) :][number : number + 1]:
        check(rtl.tile_matmul(tiled, unit, COLUMNS, a, b, CycleSchedule(4)), a, b, unit)


@pytest.mark.parametrize("overflow", cases.OVERFLOWS)
@pytest.mark.parametrize("engine", ["iverilog", pytest.param("verilator", marks=pytest.mark.slow)])
def test_other_engines(engine: str, overflow: str) -> None:
    """Codes of 8 bits with both zero points, in a register that a constant overflows."""
    need(engine)
    formats = pq.Uniform(8, 1.0, signed=False, zero_point=113), pq.Uniform(8, 1.0, zero_point=-9)
    unit = Unit(*formats, pq.Accumulator(19, overflow, zero_point="correction"), depth=24)
    a, b = cases.codes(unit, 12, unit.depth, 10, 5)
    check(rtl.dot_matmul(rtl.build(dot_product(unit), engine), unit, a, b, CycleSchedule(1)), a, b, unit)


def test_the_reference_says_the_same_of_a_small_unit() -> None:
    """The hardware beside `pq.reference`, which shares no array with the simulator."""
    need("yosys", "g++")
    number, unit = next((i, one) for i, one in enumerate(QUICK) if not one.traps)
    a, b = cases.codes(unit, 6, 5, 4, 1)
    found = rtl.dot_matmul(compiled()[number], unit, a, b).acc
    assert found.tolist() == pq.reference.matmul(a, b, unit.accumulator)


@pytest.mark.parametrize("factor", [*range(-70, 71), 113, -113, 255, -32768, 65535])
def test_a_constant_multiple_is_a_sum_of_shifts(factor: int) -> None:
    text = times("x", factor).replace("<<<", "<<")
    for x in (-5, 0, 1, 77):
        assert factor == 0 or eval(text, {"x": x}) == factor * x
    assert text.count("x") <= factor.bit_length() // 2 + 1


def test_a_rest_is_as_wide_as_the_sum_along_its_row() -> None:
    """Sums up to 2**5, of which the negative takes a bit less."""
    formats = pq.TwinSoftmax(2, 1), pq.Uniform(2, 1.0, zero_point=1)
    unit = Unit(*formats, pq.Accumulator(8, zero_point="correction"), depth=16)
    assert rest_signal(unit).bits == row_sum_signal(unit).bits == 7
    assert "rest = -wide;" in rest_unit(unit).body.replace("- ", "-")


def test_codes_of_another_zero_point_are_refused() -> None:
    need("yosys", "g++")
    unit = QUICK[0]
    other = pq.Uniform(unit.b.bits, 1.0, signed=False, zero_point=2)
    a, b = cases.codes(Unit(unit.a, other, unit.accumulator), 2, 3, 2, 0)
    with pytest.raises(ValueError, match="the unit was built for"):
        rtl.dot_matmul(compiled()[0], unit, a, b)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [2, 3])
def test_every_variant(bits: int) -> None:
    """Every row and column of up to three codes of 2 bits, or two of 3 bits, in every variant."""
    need("yosys", "g++")
    units = cases.corrected(bits)
    for unit, dot in zip(units, compile_modules([dot_product(unit) for unit in units]), strict=True):
        for depth in range(1, 6 - bits):
            a, b = every_row(unit, depth)
            check(rtl.dot_matmul(dot, unit, a, b), a, b, unit)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(9))
def test_a_million_steps_at_each_width(part: int) -> None:
    """k = 7 and 8, random and adversarial, registers about as wide as one term."""
    need("yosys", "g++")
    units = WIDE[part::9]
    for number, (unit, dot) in enumerate(zip(units, compile_modules([dot_product(u) for u in units]), strict=True)):
        a, b = cases.codes(unit, 300, unit.depth, 260, number)
        assert a.shape[0] * b.shape[1] * unit.depth > 1_000_000
        check(rtl.dot_matmul(dot, unit, a, b), a, b, unit)
