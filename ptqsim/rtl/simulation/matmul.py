"""Matrix products on a simulated unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.formats.array import QuantizedArray
from ptqsim.formats.base import NumberFormat
from ptqsim.rtl.hardware.operands import floating, zero_code
from ptqsim.rtl.hardware.unit import Unit
from ptqsim.rtl.hardware.verilog import Module
from ptqsim.rtl.simulation.schedule import CycleSchedule


class Simulated(Protocol):
    """A module that an engine has built."""

    module: Module

    def evaluate(self, inputs: Mapping[str, ArrayLike]) -> dict[str, NDArray[np.int64]]:
        """Row by row."""
        ...

    def stream(
        self,
        beats: Mapping[str, Mapping[str, ArrayLike]],
        outputs: int,
        held: Mapping[str, ArrayLike],
        schedule: CycleSchedule,
    ) -> dict[str, NDArray[np.int64]]:
        """With valid and ready."""
        ...


class HardwareResult(NamedTuple):
    """Outputs of the hardware: int64 [M, N], and where its flag marks them as invalid (None without a flag)."""

    acc: NDArray[np.int64]
    trapped: NDArray[np.bool_] | None


_MEANING = (
    "kind", "bits", "signed", "zero_point", "exponent_bits", "mantissa_bits", "special", "root", "fraction_bits",
)  # fmt: skip
"""Fields of a format, beside shifts, that a unit is built for."""
Beats = dict[str, dict[str, NDArray[np.int64]]]
"""Of every input stream the values of its ports, one row per beat."""


def dot_matmul(
    simulated: Simulated, unit: Unit, a: QuantizedArray, b: QuantizedArray, schedule: CycleSchedule | None = None
) -> HardwareResult:
    """The product of [M, K] and [K, N] on one dot-product unit, output after output."""
    shape = _checked(unit, a, b)
    beats, held = dot_beats(unit, a, b)
    found = simulated.stream(beats, shape[0] * shape[1], held, schedule or CycleSchedule())
    trapped = found["out_trapped"].reshape(shape).astype(bool) if unit.traps else None
    return HardwareResult(found["out_result"].reshape(shape), trapped)


def tile_matmul(
    simulated: Simulated,
    unit: Unit,
    columns: int,
    a: QuantizedArray,
    b: QuantizedArray,
    schedule: CycleSchedule | None = None,
) -> HardwareResult:
    """The product of [M, K] and [K, N] on a weight-stationary tile, one block of columns after the other."""
    shape = _checked(unit, a, b)
    acc, trapped = np.empty(shape, np.int64), np.zeros(shape, np.bool_)
    for start in range(0, shape[1], columns):
        block = b[:, start : start + columns]
        beats, held = tile_beats(unit, columns, a, block)
        found = simulated.stream(beats, shape[0], held, schedule or CycleSchedule())
        here = slice(start, start + block.shape[1])
        acc[:, here] = found["out_result"].reshape(shape[0], columns)[:, : block.shape[1]]
        if unit.traps:
            trapped[:, here] = found["out_trapped"].reshape(shape[0], columns)[:, : block.shape[1]]
    return HardwareResult(acc, trapped if unit.traps else None)


def dot_beats(unit: Unit, a: QuantizedArray, b: QuantizedArray) -> tuple[Beats, dict[str, ArrayLike]]:
    """Input stream of a dot-product unit for [M, K] times [K, N], and its constant inputs."""
    rows, columns = _grouped(a, unit), _grouped(b.swapaxes(0, 1), unit)
    lanes = (len(rows), len(columns), rows.shape[1], unit.lanes)
    last = np.broadcast_to(np.arange(lanes[2]) == lanes[2] - 1, lanes[:3])
    beats = {
        "in_last": last.reshape(-1).astype(np.int64),
        "a_code": _fields(np.broadcast_to(rows[:, None], lanes), unit),
        "b_code": _fields(np.broadcast_to(columns[None], lanes), unit),
    }
    if unit.preloads:
        constants = np.zeros((*lanes[:3], len(unit.pairs)), np.int64)
        constants[:, :, 0] = _constants(unit, b)  # with the first step of each output
        beats["constant"] = _flat(constants.reshape(-1, len(unit.pairs)))
    return {"in": beats}, _shifts(unit, a, b)


def tile_beats(unit: Unit, columns: int, a: QuantizedArray, b: QuantizedArray) -> tuple[Beats, dict[str, ArrayLike]]:
    """Input streams of a tile for [M, K] times [K, N], weights then rows, N at most its columns; and constants."""
    rows, weights = _grouped(a, unit, unit.steps), _grouped(b.swapaxes(0, 1), unit, unit.steps)
    block = np.full((columns, *weights.shape[1:]), _filler(unit, b.format), np.int64)
    block[: len(weights)] = weights
    words = block.transpose(1, 0, 2).reshape(unit.steps, -1)
    beats = {
        "w": {"w_code": _flat(words)},
        "in": {"a_code": _fields(rows, unit)},
    }
    if unit.preloads:
        constants = np.zeros((unit.steps, columns, len(unit.pairs)), np.int64)
        constants[-1, : len(weights)] = _constants(unit, b)  # with the last word of weights
        beats["w"]["w_constant"] = _flat(constants.reshape(unit.steps, -1))
    return beats, {"w_restart": 0} | _shifts(unit, a, b)


def _grouped(lines: QuantizedArray, unit: Unit, steps: int | None = None) -> NDArray[np.int64]:
    """Codes [lines, depth] to [lines, steps, lanes], filled up with a code that stands for zero."""
    count, depth = lines.shape
    steps = -(-depth // unit.lanes) if steps is None else steps
    padded = np.full((count, steps * unit.lanes), _filler(unit, lines.format), np.int64)
    padded[:, :depth] = lines.codes
    return padded.reshape(count, steps, unit.lanes)


def _filler(unit: Unit, number_format: NumberFormat) -> int:
    """The code whose products are 0: that of a zero point if it is subtracted before the multiplier, else that of 0."""
    if floating(number_format):
        return zero_code(number_format)
    return 0 if unit.corrects else number_format.zero_point % number_format.code_count


def _constants(unit: Unit, b: QuantizedArray) -> NDArray[np.int64]:
    """Constants to start from, [N, pairs of ranges]: -z_a times the sum of the values of `b` that each serves."""
    aligned, flags = b.aligned(), b.codes >> (b.format.bits - 1)
    sums = [aligned.sum(axis=0)]
    if len(unit.pairs) > 1:
        sums = [
            np.where(flags == number, aligned >> number * b.format.shift, 0).sum(axis=0) for _, number in unit.pairs
        ]
    return np.stack([-unit.a.zero_point * one for one in sums], axis=-1)


def _flat(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of a single field as [n]."""
    return values if values.shape[1] > 1 else values[:, 0]


def _fields(groups: NDArray[np.int64], unit: Unit) -> NDArray[np.int64]:
    return groups.reshape(-1, unit.lanes) if unit.lanes > 1 else groups.reshape(-1)


def _shifts(unit: Unit, a: QuantizedArray, b: QuantizedArray) -> dict[str, ArrayLike]:
    formats = {"a": a.format, "b": b.format}
    return {signal.name: formats[signal.name[2:]].shift for signal in unit.shift_inputs}


def _checked(unit: Unit, a: QuantizedArray, b: QuantizedArray) -> tuple[int, int]:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0] or not 1 <= a.shape[1] <= unit.depth:
        raise ValueError(
            f"a {a.shape} and b {b.shape} do not fit the unit: a is [M, K], b [K, N], and K from 1 to {unit.depth}"
        )
    for side, given in (("a", a.format), ("b", b.format)):
        _check_format(side, dict(unit.sides)[side], given, unit.runtime_shift)
    return a.shape[0], b.shape[1]


def _check_format(side: str, built: NumberFormat, given: NumberFormat, runtime_shift: bool) -> None:
    shift_fits = given.shift <= built.shift if runtime_shift else given.shift == built.shift
    same = all(getattr(given, name, None) == getattr(built, name, None) for name in _MEANING)
    if not same or not shift_fits:
        raise ValueError(
            f"operand {side} is in {given}, and the unit was built for {built}"
            f"{' and lesser shifts' if runtime_shift else ''}; scales do not matter, the rest does"
        )
