"""Every planted bug is caught by what the comparison with the simulator looks at."""

from __future__ import annotations

from functools import cache

import pytest

from ptqsim import rtl
from ptqsim.rtl import CycleSchedule
from ptqsim.rtl.simulation.cxxrtl import CxxrtlModule, compile_modules
from tests.rtl import cases
from tests.rtl.mutants import COLUMNS, MUTANTS, TILES, UNITS, planted, whole
from tests.rtl.needs import need

ROWS, COLS = 16, 12


@cache
def compiled() -> dict[str, CxxrtlModule]:
    modules = {f"unit {name}": whole(name) for name in UNITS} | {name: planted(name) for name in MUTANTS}
    return dict(zip(modules, compile_modules(list(modules.values())), strict=True))


def differs(simulated: CxxrtlModule, name: str) -> bool:
    """True if an output differs, or the unit stops."""
    unit = UNITS[name]
    for depth, seed in ((unit.depth, 1), (5, 2)):
        if name in TILES:
            depth = unit.depth
        a, b = cases.codes(unit, ROWS, depth, COLS, seed)
        wanted = rtl.expected(a, b, unit.accumulator)
        try:
            if name in TILES:
                found = rtl.tile_matmul(simulated, unit, COLUMNS, a, b, CycleSchedule(seed))
            else:
                found = rtl.dot_matmul(simulated, unit, a, b, CycleSchedule(seed))
        except RuntimeError:
            return True
        if not rtl.compare(found, wanted).equal:
            return True
    return False


@pytest.mark.parametrize("name", UNITS)
def test_no_false_alarm(name: str) -> None:
    need("yosys", "g++")
    assert not differs(compiled()[f"unit {name}"], name)


@pytest.mark.parametrize("name", MUTANTS)
def test_planted_bug_is_caught(name: str) -> None:
    need("yosys", "g++")
    assert differs(compiled()[name], MUTANTS[name].unit)
