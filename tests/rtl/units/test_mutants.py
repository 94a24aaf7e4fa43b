"""Every bug planted in a unit is caught by what the comparison with the simulator looks at."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ptqsim.rtl import CycleSchedule, UnitHardware, run_unit
from ptqsim.rtl.hardware.verilog import Module
from ptqsim.rtl.simulation.engines import build
from ptqsim.rtl.units.standard import stimulus
from tests.rtl.needs import need
from tests.rtl.units.cases import CASES
from tests.rtl.units.mutants import MUTANTS, planted

ROWS = 40


def inputs_of(hardware: UnitHardware) -> list[NDArray[np.int64]]:
    """Every accumulator, or every row of 2; rows of all magnitudes, adversarial and constant ones of longer rows."""
    first = hardware.unit.inputs[0]
    every = np.arange(-(1 << (first.bits - 1)), 1 << (first.bits - 1))
    if hardware.row_length == 2:
        return [np.stack(np.meshgrid(every, every), axis=-1).reshape(-1, 2)]
    if len(hardware.unit.inputs) > 1:
        return stimulus(hardware, ROWS, seed=1)
    if hardware.keeps_rows:
        constant = np.repeat(every[:: len(every) // 32, None], hardware.row_length, axis=1)
        return [np.concatenate([*stimulus(hardware, ROWS, seed=1), constant])]
    return [np.repeat(every[:, None], hardware.row_length, axis=1) if hardware.counts_rows else every]


def differs(module: Module, hardware: UnitHardware) -> bool:
    """True if a code differs, or the unit stops."""
    inputs = inputs_of(hardware)
    simulated = build(module, "iverilog")
    try:
        found = run_unit(simulated, hardware, *inputs, schedule=CycleSchedule(seed=3))
    except (RuntimeError, ValueError):  # it stops, or a bit of a code is unknown
        return True
    return bool((found != hardware.unit(*inputs)).any())


@pytest.mark.parametrize("name", CASES)
def test_no_false_alarm(name: str) -> None:
    need("iverilog")
    assert not differs(CASES[name].module(), CASES[name])


@pytest.mark.parametrize("name", MUTANTS)
def test_planted_bug_is_caught(name: str) -> None:
    need("iverilog")
    assert differs(planted(name), CASES[MUTANTS[name].unit])
