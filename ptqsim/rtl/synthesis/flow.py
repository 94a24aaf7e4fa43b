"""One module through Yosys: cells, transistors and logic depth; area and delay with a liberty file."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from ptqsim.common import files, strict_json
from ptqsim.rtl import tools
from ptqsim.rtl.hardware.verilog import Module
from ptqsim.rtl.synthesis import kept
from ptqsim.rtl.synthesis.gates import Gates

TIMEOUT: Final = 600.0
FLOW: Final = "synth -flatten; dfflegalize to $_DFF_P_; abc -g cmos; stat -tech cmos; ltp -noff"
LIBERTY_FLOW: Final = "synth -flatten; dfflegalize to $_DFF_P_; dfflibmap; abc -liberty; stat -liberty; stime"
_LIBRARY: Final = "cells.lib"


def synthesize(module: Module, liberty: Path | None = None, timeout: float = TIMEOUT, anew: bool = False) -> Gates:
    """Cost of a module and all that it instantiates; the same inputs give the same gates, so they are kept.

    What was counted once is in the cache. Counts of `ptqsim.rtl.synthesis.kept` came with the package; they stand in
    for a Yosys that is not installed, and for one of the version that they were counted with, and for no other.

    Raises
    ------
    ValueError
        If `liberty` is no file, or not a cell library.
    ptqsim.rtl.MissingToolError
        If there is no Yosys with a working ABC, and the count did not come with the package.
    ptqsim.rtl.tools.ToolError
        If it fails, or counts some cells only.
    ptqsim.rtl.tools.ToolTimeoutError
        If it takes longer than `timeout` seconds.
    """
    library = None if liberty is None else _library(liberty)
    text = rtl_of(module)
    known = None if anew or liberty is not None else kept.gates(module.name, text)
    if known is not None and tools.missing(["abc"], "to synthesize"):
        return known
    yosys = tools.find("abc", "to synthesize")
    if known is not None and (known.tool, known.flow) == (yosys.version, FLOW):
        return known
    flow = FLOW if library is None else LIBERTY_FLOW
    cached = tools.cache_folder("gates", yosys.version, flow, module.name, text, library or "") / "gates.json"
    if cached.exists() and not anew:
        return Gates(**json.loads(cached.read_text(encoding="utf-8")))
    with TemporaryDirectory(dir=cached.parent) as name:
        folder = Path(name)
        files.write_scratch(folder / "design.sv", text)
        if library is not None:
            files.write_scratch(folder / _LIBRARY, library)
        written = yosys.script(_commands(module, library is not None), folder, timeout)
        counted = (folder / "stat.txt").read_text(encoding="utf-8")
        longest = None if library is not None else (folder / "ltp.txt").read_text(encoding="utf-8")
    gates = Gates(
        module=module.name,
        cells=int(_found(r"(\d+)(?:\s+\S+)? cells|Number of cells:\s+(\d+)", counted)),
        flip_flops=_flip_flops(counted),
        transistors=_transistors(counted) if library is None else None,
        depth=int(_found(r"\(length=(\d+)\)", longest)) if longest is not None else None,
        area=float(_found(r"Chip area for module.*: ([\d.]+)", counted)) if library is not None else None,
        delay=_delay(written) if library is not None else None,
        tool=yosys.version,
        flow=flow,
        liberty=_named(liberty, library),
    )
    files.write(cached, strict_json.dumps(gates))
    return gates


def rtl_of(module: Module) -> str:
    """The text that is synthesized: the module and all that it instantiates."""
    return "\n".join(part.render() for part in module.hierarchy())


def _commands(module: Module, has_library: bool) -> list[str]:
    commands = [
        "read_verilog -sv design.sv",
        f"hierarchy -check -top {module.name}",
        f"synth -flatten -top {module.name}",
        # Enables and synchronous resets become gates: every flip-flop is then counted, and counted alike.
        "dfflegalize -cell $_DFF_P_ 01",
    ]
    if has_library:
        script = "+strash;&get,-n;&fraig,-x;&put;scorr;dc2;dretime;strash;&get,-n;&dch,-f;&nf;&put;topo;stime,-p"
        mapped = [
            f"dfflibmap -liberty {_LIBRARY}",
            f"abc -liberty {_LIBRARY} -script {script}",
            "opt_clean",
            "delete t:$scopeinfo",
            f"tee -q -o stat.txt stat -liberty {_LIBRARY}",
        ]
        return commands + mapped
    # $scopeinfo is a note about the hierarchy and no cell; left in, it makes the estimate of the transistors partial.
    mapped = ["abc -g cmos", "opt_clean", "delete t:$scopeinfo", "tee -q -o stat.txt stat -tech cmos"]
    return [*commands, *mapped, "tee -q -o ltp.txt ltp -noff"]


def _transistors(counted: str) -> int:
    """The estimate; one with a plus sign leaves cells out and is none."""
    count = _found(r"Estimated number of transistors:\s+(\d+\+?)", counted)
    if count.endswith("+"):
        raise tools.ToolError(f"some cells have no count of transistors: {' '.join(counted.split())[-400:]}")
    return int(count)


def _delay(written: str) -> float | None:
    match = re.search(r"Delay = +([\d.]+) ps", written)
    return None if match is None else float(match[1])


def _flip_flops(counted: str) -> int:
    """Cells whose name says DFF, in the order 'count name' or 'name count'."""
    rows = re.findall(r"^\s+(\d+)\s+(?:[\d.]+\s+)?(\S*DFF\S*)\s*$|^\s+(\S*DFF\S*)\s+(\d+)\s*$", counted, re.MULTILINE)
    return sum(int(first or last) for first, _, _, last in rows)


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise tools.ToolError(f"Yosys did not say {pattern!r}: {' '.join(text.split())[-300:]}")
    return next(group for group in match.groups() if group is not None)


def _library(liberty: Path) -> str:
    """The text of a cell library, if it is one."""
    rest = "give a cell library in the Liberty format (.lib), or none to count transistors"
    if not liberty.is_file():
        raise ValueError(f"no file {str(liberty)!r}: {rest}")
    text = liberty.read_text(encoding="utf-8", errors="replace")
    if re.search(r"\blibrary\s*\(", text) is None or re.search(r"\bcell\s*\(", text) is None:
        raise ValueError(f"{str(liberty)!r} has no library with cells in it: {rest}")
    return text


def _named(liberty: Path | None, library: str | None) -> str | None:
    if liberty is None or library is None:
        return None
    return f"{liberty.name} {sha256(library.encode()).hexdigest()[:16]}"
