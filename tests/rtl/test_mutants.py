"""Every planted bug is caught by what the comparison with the simulator looks at."""

from __future__ import annotations

from functools import cache

import pytest

from ptqsim import rtl
from ptqsim.rtl import CycleSchedule
from ptqsim.rtl.simulation.cxxrtl import CxxrtlModule, compile_modules
from ptqsim.rtl.simulation.engines import build
from ptqsim.rtl.simulation.matmul import Simulated
from tests.rtl import cases
from tests.rtl.mutants import COLUMNS, MUTANTS, ON_ICARUS, TILES, UNITS, planted, whole
from tests.rtl.needs import need

ROWS, COLS = 16, 12


@cache
def compiled() -> dict[str, CxxrtlModule]:
    modules = {f"unit {name}": whole(name) for name in UNITS} | {name: planted(name) for name in MUTANTS}
    units = {name: mutant.unit for name, mutant in MUTANTS.items()}
    own = {name: one for name, one in modules.items() if units.get(name, name.removeprefix("unit ")) not in ON_ICARUS}
    return dict(zip(own, compile_modules(list(own.values())), strict=True))


def simulated(name: str, unit: str) -> Simulated:
    """The unit, or one with a bug in it, on Icarus where that is said to be so, as it builds small designs sooner."""
    if unit not in ON_ICARUS:
        need("yosys", "g++")
        return compiled()[name]
    need("iverilog")
    return build(whole(unit) if name not in MUTANTS else planted(name), "iverilog")


def differs(simulated: Simulated, name: str) -> bool:
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
        except (RuntimeError, ValueError):  # it stops, or a bit of a result is unknown
            return True
        if not rtl.compare(found, wanted).equal:
            return True
    return False


@pytest.mark.parametrize("name", UNITS)
def test_no_false_alarm(name: str) -> None:
    assert not differs(simulated(f"unit {name}", name), name)


@pytest.mark.parametrize("name", MUTANTS)
def test_planted_bug_is_caught(name: str) -> None:
    unit = MUTANTS[name].unit
    assert differs(simulated(name, unit), unit)
