"""The requantizer and the PWLQ unit against their integer formulas."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import rtl
from ptqsim.rtl import PWLQUnit, RequantizerUnit
from ptqsim.rtl.simulation.cxxrtl import CxxrtlModule, compile_modules
from tests.rtl.needs import need

ROUNDINGS = [str(mode) for mode in pq.RequantizeRounding]
FACTORS = (0.0117, 0.25, 1.7)
UNITS = [
    RequantizerUnit(pq.Requantizer.of(factor, 31 if mode.startswith("tflite") else bits, mode), 12, 8, bias, style)
    for mode, (factor, bits, bias, style) in product(
        ROUNDINGS,
        [(FACTORS[0], 5, None, "behavioral"), (FACTORS[1], 1, 7, "baugh_wooley"), (FACTORS[2], 3, 14, "behavioral")],
    )
] + [RequantizerUnit(pq.Requantizer(3, -1), 10, 16), RequantizerUnit(pq.Requantizer(1, 14, "half_even"), 12, 4)]


@cache
def compiled() -> list[CxxrtlModule]:
    return compile_modules([unit.module() for unit in UNITS])


def test_every_accumulator_in_every_rounding() -> None:
    need("yosys", "g++")
    for unit, simulated in zip(UNITS, compiled(), strict=True):
        half = 1 << (unit.acc_bits - 1)
        acc = np.arange(-half, half)
        given, total = {"acc": acc}, acc
        if unit.bias_bits is not None:
            top = (1 << (unit.bias_bits - 1)) - 1
            given["bias"] = np.resize([0, 1, -1, top, -top - 1, 5, -37], len(acc))
            total = acc + given["bias"]
        limit = 1 << (unit.bits - 1)
        expected = [
            min(max(pq.reference.requantized(value, unit.requantizer), -limit), limit - 1) for value in total.tolist()
        ]
        assert simulated.evaluate(given)["code"].tolist() == expected, unit


def test_a_requantizer_that_leaves_int32_is_refused() -> None:
    with pytest.raises(ValueError, match="works in int32"):
        RequantizerUnit(pq.Requantizer.of(0.1, 31, "tflite_double"), acc_bits=33)


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_pwlq_unit(overflow: str) -> None:
    """Every pair of codes, accumulated in sequence, against the formula; and the formula against the format."""
    need("yosys", "g++")
    unit = PWLQUnit(5, 4, 12, 6, 3, overflow)
    number_format = pq.PWLQ.covering(5, breakpoint=1.5, largest=8.0)
    scale, offset = unit.constants(number_format)
    values = np.array([unit.value(code, scale, offset) for code in range(number_format.code_count)])
    grid = number_format.scale / (1 << unit.fraction_bits)
    tolerance = grid * (1 << unit.bits)  # S and B are rounded to the grid
    assert np.abs(values * grid - number_format.decode(np.arange(number_format.code_count))).max() <= tolerance
    a, b = (grid.ravel() for grid in np.meshgrid(np.arange(64), np.arange(16)))
    given = {"enable": 1, "first": (np.arange(len(a)) % 37 == 0).astype(int), "a_code": a, "b_code": b}
    simulated = rtl.build(unit.module())
    found = simulated.evaluate(given | {"tail_scale": scale, "tail_offset": offset})["acc"]
    register, expected = 0, []
    for x, w, first in zip(a.tolist(), b.tolist(), given["first"].tolist(), strict=True):
        expected.append(register)
        term = int(values[x]) * (w - 16 if w >= 8 else w)
        register = pq.reference.add(0 if first else register, term, 12, overflow)
    assert found.tolist()[1:] == expected[1:]


def test_constants_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="raise scale_bits or lower fraction_bits"):
        PWLQUnit(5, 4, 12, 2, 2).constants(pq.PWLQ.covering(5, breakpoint=0.5, largest=80.0))
