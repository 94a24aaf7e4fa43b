"""Wide units beside the simulator: rows of all magnitudes and adversarial ones, without gaps and with them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from ptqsim import rtl, units
from ptqsim.rtl import CycleSchedule, UnitHardware, run_unit
from ptqsim.rtl.simulation.cxxrtl import CxxrtlModule, compile_modules
from ptqsim.rtl.simulation.engines import build
from ptqsim.rtl.units.standard import FORMULATIONS, standard_unit, stimulus
from ptqsim.units.errors_of_units.comparison import Setting
from tests.rtl.needs import need
from tests.units.cases import CASES as UNITS

QUICK = Setting(length=33, features=24, acc_bits=14)
WIDE = Setting(length=197, features=192)


def hardware_of(what: str, formulation: str, setting: Setting, lanes: int, reciprocal: bool = False) -> UnitHardware:
    division = units.Division("reciprocal", 31) if reciprocal else None
    unit = standard_unit(what, formulation, setting, division)
    return UnitHardware(unit, lanes, setting.length if formulation == "shift_gelu" else None)


QUICKLY = {
    "softmax": hardware_of("softmax", "table", QUICK, 4),
    "ita": hardware_of("softmax", "ita", QUICK, 1, reciprocal=True),
    "layernorm": hardware_of("layernorm", "newton", QUICK, 5),
    "residual": hardware_of("residual", "channel", QUICK, 3),
    "shift_gelu": hardware_of("gelu", "shift_gelu", QUICK, 2),
}


@cache
def compiled() -> dict[str, CxxrtlModule]:
    return dict(zip(QUICKLY, compile_modules([one.module() for one in QUICKLY.values()]), strict=True))


@pytest.mark.parametrize("seed", [None, 2])
@pytest.mark.parametrize("name", QUICKLY)
def test_thousands_of_elements(name: str, seed: int | None) -> None:
    need("yosys", "g++")
    hardware = QUICKLY[name]
    inputs = stimulus(hardware, 120, seed=3)
    found = run_unit(compiled()[name], hardware, *inputs, schedule=CycleSchedule(seed))
    assert np.array_equal(found, hardware.unit(*inputs))


def test_rows_of_every_length() -> None:
    """One after the other, the longer after the shorter and the other way round."""
    need("iverilog")
    hardware = UnitHardware(standard_unit("softmax", "table", QUICK), lanes=4)
    simulated = build(hardware.module(), "iverilog")
    beats: dict[str, list[np.ndarray]] = {}
    codes, rng = [], np.random.default_rng(4)
    for length in [*range(1, 34), *range(33, 0, -1)]:
        row = rng.integers(-(1 << 13), 1 << 13, (1, length))
        padded = np.zeros((-(-length // 4)) * 4, np.int64)
        padded[:length] = hardware.unit(row)[0]
        codes.append(padded.reshape(-1, 4))
        for port, values in rtl.units.run.unit_beats(hardware, row)["in"].items():
            beats.setdefault(port, []).append(values)
    wanted = np.concatenate(codes)
    together = {port: np.concatenate(values) for port, values in beats.items()}
    found = simulated.stream({"in": together}, len(wanted), {}, CycleSchedule(seed=1, patience=200))
    assert np.array_equal(found["out_last"], together["in_last"])
    kept = together["in_keep"].astype(bool)
    assert np.array_equal(found["out_code"][kept], wanted[kept])


SLOW = [(what, one, lanes) for what, names in FORMULATIONS.items() for one in names for lanes in (1, 4)]


@pytest.mark.slow
@pytest.mark.parametrize(("what", "formulation", "lanes"), SLOW)
def test_a_million_elements(what: str, formulation: str, lanes: int) -> None:
    need("yosys", "g++")
    hardware = hardware_of(what, formulation, WIDE, lanes, reciprocal=what == "softmax" and lanes == 1)
    inputs = stimulus(hardware, -(-(10**6) // min(hardware.row_length, 1 << 10)), seed=5)
    ran = rtl.simulate_unit(hardware, *inputs, seed=6)
    assert ran.wanted.size >= 10**6
    assert ran.equal


@pytest.mark.slow
@pytest.mark.parametrize("name", UNITS)
def test_every_case_of_the_units(name: str) -> None:
    """Every formulation in every output format, in the settings of the simulator's own tests."""
    need("iverilog")
    unit = UNITS[name]
    if not isinstance(unit, rtl.units.hardware.BUILT) or unit.out_format.kind == "log2":
        pytest.skip("no hardware is generated for it")
    hardware = UnitHardware(unit, 4, None if unit.channels or unit.longest <= 64 else 64)
    inputs = stimulus(hardware, 40, seed=7)
    assert rtl.simulate_unit(hardware, *inputs, engine="iverilog", seed=8).equal
