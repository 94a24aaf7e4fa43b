"""A product of codes, of a layer for instance, through the hardware and beside the simulator, in one call."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from ptqsim.datapath.spec import Accumulator
from ptqsim.formats.array import QuantizedArray
from ptqsim.rtl.design import tops
from ptqsim.rtl.hardware.unit import Multiplier, Unit
from ptqsim.rtl.simulation.engines import CXXRTL, build
from ptqsim.rtl.simulation.expected import Comparison, compare, expected
from ptqsim.rtl.simulation.matmul import HardwareResult, dot_matmul, tile_matmul
from ptqsim.rtl.simulation.schedule import CycleSchedule


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """Outputs of the hardware beside those of the simulator.

    Parameters
    ----------
    unit : Unit
        The unit that was built.
    columns : int or None
        Columns of the tile; None for a dot-product unit.
    engine : str
        The engine that ran it.
    found, wanted : HardwareResult
        Hardware and simulator: int64 [..., M, N].
    comparison : Comparison
        Comparison of the two, output by output.
    build_seconds, run_seconds : float
        Wall time.
    """

    unit: Unit
    columns: int | None
    engine: str
    found: HardwareResult
    wanted: HardwareResult
    comparison: Comparison
    build_seconds: float
    run_seconds: float

    @property
    def equal(self) -> bool:
        """True if every accumulator is equal to the bit."""
        return self.comparison.equal


def unit_of(
    a: QuantizedArray,
    b: QuantizedArray,
    accumulator: Accumulator,
    runtime_shift: bool = False,
    multiplier: str = Multiplier.BEHAVIORAL,
) -> Unit:
    """The unit for operands [..., M, K] and [..., K, N]: their formats, and K products per output."""
    return Unit(a.format, b.format, accumulator, a.shape[-1], runtime_shift, multiplier)


def simulate(
    a: QuantizedArray,
    b: QuantizedArray,
    unit: Unit | Accumulator,
    columns: int | None = None,
    engine: str = CXXRTL,
    seed: int | None = 0,
    wanted: HardwareResult | None = None,
) -> Simulation:
    """Run codes through generated hardware and compare every accumulator with the simulator's.

    Parameters
    ----------
    a, b : QuantizedArray
        [..., M, K] and [..., K, N] with the same leading axes: those of `ptqsim.ptq.evaluation.record.record_codes`,
        for instance.
    unit : Unit or Accumulator
        The unit to build; for an `Accumulator`, the unit for these formats and this K.
    columns : int, optional
        Columns of a weight-stationary tile; None for one dot-product unit.
    engine : str, optional
        One of `ENGINES`.
    seed : int, optional
        Seed of the gaps between offers; None for no gaps.
    wanted : HardwareResult, optional
        The simulator's result, if it is known already.

    Raises
    ------
    ptqsim.rtl.MissingToolError
        If the engine is not installed.
    ValueError
        If no hardware is generated for the formats, or the shapes do not fit.

    Examples
    --------
    >>> import ptqsim as pq
    >>> from ptqsim import golden, rtl
    >>> a, b = golden.stimulus(pq.TwinGELU(6, 3, 1.0), pq.Uniform(6, 1.0), rows=4, depth=9, columns=5)
    >>> rtl.simulate(a, b, pq.Accumulator(16, "saturate"), columns=2).equal  # doctest: +SKIP
    True
    """
    if isinstance(unit, Accumulator):
        unit = unit_of(a, b, unit)
    if a.ndim < 2 or a.shape[:-2] != b.shape[:-2]:
        raise ValueError(f"a {a.shape} and b {b.shape} need the same axes before the last two: try a[0] and b[0]")
    start = time.monotonic()
    simulated = build(tops(unit, columns)[-1], engine)
    built = time.monotonic()
    results = []
    for index in np.ndindex(a.shape[:-2]):
        left, right = a[index], b[index]
        if columns is None:
            results.append(dot_matmul(simulated, unit, left, right, CycleSchedule(seed)))
        else:
            results.append(tile_matmul(simulated, unit, columns, left, right, CycleSchedule(seed)))
    ended = time.monotonic()
    if wanted is None:
        wanted = expected_of(a, b, unit.accumulator)
    found = _stacked(results, a.shape[:-2])
    comparison = compare(found, wanted)
    return Simulation(unit, columns, engine, found, wanted, comparison, built - start, ended - built)


def expected_of(a: QuantizedArray, b: QuantizedArray, accumulator: Accumulator) -> HardwareResult:
    """Outputs of the simulator for operands with any leading axes."""
    return _stacked([expected(a[i], b[i], accumulator) for i in np.ndindex(a.shape[:-2])], a.shape[:-2])


def _stacked(results: list[HardwareResult], leading: tuple[int, ...]) -> HardwareResult:
    """One result of many, with the leading axes in place."""
    shape = (*leading, *results[0].acc.shape)
    acc = np.stack([one.acc for one in results]).reshape(shape)
    flags = [one.trapped for one in results if one.trapped is not None]
    return HardwareResult(acc, np.stack(flags).reshape(shape) if flags else None)
