"""Rows of integers through the hardware of a unit, beside the simulator."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.rtl.simulation.engines import CXXRTL, build
from ptqsim.rtl.simulation.matmul import Beats, Simulated
from ptqsim.rtl.simulation.schedule import CycleSchedule
from ptqsim.rtl.units.hardware import UnitHardware


@dataclass(frozen=True, slots=True, eq=False)
class UnitSimulation:
    """Codes of the hardware beside those of the simulator.

    Parameters
    ----------
    hardware : UnitHardware
        The specification that was built.
    engine : str
        The engine that ran it.
    found, wanted : NDArray of integers
        Codes of the hardware and of the simulator, of one shape.
    build_seconds, run_seconds : float
        Wall time.
    """

    hardware: UnitHardware
    engine: str
    found: NDArray[Any]
    wanted: NDArray[Any]
    build_seconds: float
    run_seconds: float

    @property
    def differing(self) -> int:
        """Number of codes that differ."""
        return int(np.count_nonzero(self.found != self.wanted))

    @property
    def equal(self) -> bool:
        """True if every code is equal to the bit."""
        return not self.differing


def simulate_unit(
    hardware: UnitHardware, *inputs: ArrayLike, engine: str = CXXRTL, seed: int | None = 0
) -> UnitSimulation:
    """Run rows through generated hardware and compare every code with the simulator's.

    Parameters
    ----------
    hardware : UnitHardware
        The unit to build.
    *inputs : array_like of integers, shape (..., n)
        As the unit takes them.
    engine : str, optional
        One of `ENGINES`.
    seed : int, optional
        Seed of the gaps between offers; None for no gaps.

    Raises
    ------
    ptqsim.rtl.MissingToolError
        If the engine is not installed.
    ValueError
        If the unit refuses the inputs, or rows are longer than the buffer.
    """
    wanted = hardware.unit(*inputs)
    start = time.monotonic()
    simulated = build(hardware.module(), engine)
    built = time.monotonic()
    found = run_unit(simulated, hardware, *inputs, schedule=CycleSchedule(seed))
    return UnitSimulation(hardware, engine, found, wanted, built - start, time.monotonic() - built)


def run_unit(
    simulated: Simulated, hardware: UnitHardware, *inputs: ArrayLike, schedule: CycleSchedule | None = None
) -> NDArray[np.int64]:
    """Codes of a unit that an engine has built, of the shape of the inputs."""
    shape = np.asarray(inputs[0]).shape
    beats = unit_beats(hardware, *inputs)
    outputs = len(beats["in"][f"in_{hardware.unit.inputs[0].name}"])
    waiting = replace(schedule or CycleSchedule(), patience=hardware.patience)
    found = simulated.stream(beats, outputs, {}, waiting)["out_code"]
    return arranged(hardware, found, shape)


def unit_beats(hardware: UnitHardware, *inputs: ArrayLike) -> Beats:
    """The input stream of a unit for rows of integers [..., n]."""
    arrays = [np.asarray(one, np.int64) for one in inputs]
    lanes, length = hardware.lanes, arrays[0].shape[-1]
    if hardware.keeps_rows and length > hardware.row_length:
        raise ValueError(
            f"rows of {length} do not fit the buffer of the unit, which holds {hardware.row_length}; build it for a "
            "greater length"
        )
    # What lanes beyond the end of a row carry has no effect: it is the greatest integer here.
    fillers = [(1 << (one.bits - 1)) - 1 for one in hardware.unit.inputs]
    grouped = [_grouped(array, _row(hardware, array), lanes, filler)
               for array, filler in zip(arrays, fillers, strict=True)]  # fmt: skip
    rows, beats = grouped[0].shape[:2]
    found = {
        f"in_{one.name}": _flat(array.reshape(rows * beats, lanes))
        for one, array in zip(hardware.unit.inputs, grouped, strict=True)
    }
    if hardware.keeps_rows and not hardware.counts_rows:
        found["in_last"] = np.tile(np.arange(beats) == beats - 1, rows).astype(np.int64)
    if hardware.masked:
        keep = (np.arange(beats * lanes) < length).astype(np.int64)
        found["in_keep"] = np.tile(keep.reshape(beats, lanes), (rows, 1))
    return {"in": found}


def arranged(hardware: UnitHardware, codes: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Codes of beats [n] or [n, lanes] in the shape of the inputs."""
    size = int(np.prod(shape))
    row = _row(hardware, np.empty(shape, np.int8))
    padded = -(-row // hardware.lanes) * hardware.lanes
    return codes.reshape(-1, padded)[:, :row].reshape(-1)[:size].reshape(shape)


def _row(hardware: UnitHardware, array: NDArray[Any]) -> int:
    """Elements that a row takes up in the stream: all of them where rows do not matter."""
    return array.shape[-1] if hardware.keeps_rows or hardware.counts_rows else array.size


def _grouped(array: NDArray[np.int64], row: int, lanes: int, filler: int) -> NDArray[np.int64]:
    rows = array.reshape(-1, row)
    beats = -(-row // lanes)
    padded = np.full((len(rows), beats * lanes), filler, np.int64)
    padded[:, :row] = rows
    return padded.reshape(len(rows), beats, lanes)


def _flat(values: NDArray[np.int64]) -> NDArray[np.int64]:
    return values if values.shape[1] > 1 else values[:, 0]
