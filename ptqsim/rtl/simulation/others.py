"""Icarus and Verilator, where they are installed: each runs the self-checking bench and is read like a function."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.rtl import tools
from ptqsim.rtl.hardware.verilog import Module
from ptqsim.rtl.simulation.bench import BENCH, FOUND, Bench
from ptqsim.rtl.simulation.schedule import CycleSchedule

OTHERS = ("iverilog", "verilator")


class BenchModule:
    """One module on an event-driven simulator.

    Parameters
    ----------
    module : Module
        The module to simulate.
    engine : str
        "iverilog" or "verilator".
    """

    def __init__(self, module: Module, engine: str) -> None:
        self.module = module
        self._tool = tools.find(engine, "to simulate")

    def evaluate(self, inputs: Mapping[str, ArrayLike]) -> dict[str, NDArray[np.int64]]:
        """As `CxxrtlModule.evaluate`, for combinational modules."""
        if self.module.clocked:
            raise ValueError(f"{self.module.name} has a clock: on {self._tool.name} it runs with its streams only")
        rows = max(np.atleast_1d(np.asarray(values)).shape[0] for values in inputs.values())
        return self._run(Bench.of_rows(self.module, inputs, rows))

    def stream(
        self,
        beats: Mapping[str, Mapping[str, ArrayLike]],
        outputs: int,
        held: Mapping[str, ArrayLike],
        schedule: CycleSchedule,
    ) -> dict[str, NDArray[np.int64]]:
        """As `CxxrtlModule.stream`."""
        return self._run(Bench.of_streams(self.module, beats, held, outputs, None, schedule.seed, schedule.patience))

    def _run(self, bench: Bench) -> dict[str, NDArray[np.int64]]:
        with TemporaryDirectory() as name:
            folder = Path(name)
            bench.write(folder)
            log = run_bench(self._tool, folder, [f"{part.name}.sv" for part in self.module.hierarchy()])
            if "PASS" not in log:
                raise RuntimeError(f"{self._tool.version}: {log.strip()[-300:]}")
            return bench.read((folder / FOUND).read_text(encoding="utf-8"))


def run_bench(tool: tools.Tool, folder: Path, files: list[str]) -> str:
    """Build and run the bench in a folder; what it printed.

    Raises
    ------
    ValueError
        If the tool is Verilator and the folder's path has white space, which GNU Make cannot build in.
    """
    sources = [*files, f"{BENCH}.sv"]
    if tool.name == "iverilog":
        tool.run(["-g2012", "-s", BENCH, "-o", "simulation.vvp", *sources], folder)
        program = str(Path(tool.command[0]).with_name("vvp"))
        return tools.Tool("vvp", (program,), tool.version).run(["-n", "simulation.vvp"], folder)
    if re.search(r"\s", str(folder.resolve())):
        raise ValueError(
            f"Verilator builds with GNU Make, which takes no path with a space in it, got {str(folder.parent)!r}; set "
            "the environment variable TMPDIR to another folder, or take another engine"
        )
    jobs = str(os.cpu_count() or 1)
    flags = ["--binary", "--timing", "-sv", "-Wno-fatal", "-Wno-lint", "-Wno-style", "-j", jobs, "--top-module", BENCH]
    tool.run([*flags, *sources], folder)
    return tools.Tool("bench", (str(folder / "obj_dir" / f"V{BENCH}"),), tool.version).run([], folder)
