"""A bench with the codes of a matrix product, for simulators that are not called from here."""

from __future__ import annotations

from pathlib import Path

from ptqsim.common import files
from ptqsim.formats.array import QuantizedArray
from ptqsim.rtl.hardware.unit import Unit
from ptqsim.rtl.hardware.verilog import Module
from ptqsim.rtl.simulation.bench import Bench
from ptqsim.rtl.simulation.matmul import HardwareResult, dot_beats, tile_beats

FILE_LIST = "files.f"


def write_bench(
    module: Module,
    unit: Unit,
    columns: int | None,
    a: QuantizedArray,
    b: QuantizedArray,
    wanted: HardwareResult,
    folder: Path,
    seed: int | None = None,
) -> list[Path]:
    """Write the design, a self-checking bench and its vectors; of a tile the first block of columns.

    Raises
    ------
    ValueError
        If an output traps: a bench compares values, and that of a trapped output means nothing.
    """
    if wanted.trapped is not None and wanted.trapped.any():
        raise ValueError("some outputs trap, and their values mean nothing: give a wider register, or wrap or saturate")
    if columns is None:
        beats, held = dot_beats(unit, a, b)
        results = {"out_result": wanted.acc.reshape(-1)}
    else:
        if b.shape[1] < columns:
            raise ValueError(f"a tile of {columns} columns needs as many columns of b, got {b.shape[1]}")
        beats, held = tile_beats(unit, columns, a, b[:, :columns])
        results = {"out_result": wanted.acc[:, :columns] if columns > 1 else wanted.acc[:, 0]}
    if unit.traps:
        results["out_trapped"] = 0 * results["out_result"]
    bench = Bench.of_streams(module, beats, held, len(results["out_result"]), results, seed)
    written = bench.write(folder)
    listed = [path.name for path in written if path.suffix == ".sv"]
    files.write(folder / FILE_LIST, "".join(f"{name}\n" for name in listed))
    return [*written, folder / FILE_LIST]
