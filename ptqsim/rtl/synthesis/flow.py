"""One module through Yosys: cells, transistors and logic depth; area and delay with a liberty file."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from ptqsim.rtl import tools
from ptqsim.rtl.hardware.verilog import Module

TIMEOUT: Final = 600.0
FLOW: Final = "synth -flatten; dfflegalize to $_DFF_P_; abc -g cmos; stat -tech cmos; ltp -noff"
LIBERTY_FLOW: Final = "synth -flatten; dfflegalize to $_DFF_P_; dfflibmap; abc -liberty; stat -liberty; stime"
_LIBRARY: Final = "cells.lib"


@dataclass(frozen=True, slots=True)
class Gates:
    """What one module costs, and what said so.

    Parameters
    ----------
    module
        Name of the module.
    cells, flip_flops
        Number of cells, flip-flops among them.
    transistors
        CMOS estimate of Yosys; None where a liberty file was used.
    depth
        Gates on the longest path between registers or ports; None where a liberty file was used.
    area, delay
        In the units of the liberty file (delay in ps); None without one. A Yosys that does not show what its ABC writes
        tells no delay either.
    tool, flow
        Version of Yosys and the commands.
    liberty
        Name and SHA-256 of the liberty file.
    """

    module: str
    cells: int
    flip_flops: int
    transistors: int | None
    depth: int | None
    area: float | None
    delay: float | None
    tool: str
    flow: str
    liberty: str | None


def synthesize(module: Module, liberty: Path | None = None, timeout: float = TIMEOUT) -> Gates:
    """Cost of a module and all that it instantiates; kept in the cache, as the same inputs give the same gates.

    Raises
    ------
    ptqsim.rtl.MissingToolError
        If there is no Yosys with a working ABC.
    ptqsim.rtl.tools.ToolError
        If it fails, or counts some cells only.
    ptqsim.rtl.tools.ToolTimeoutError
        If it takes longer than `timeout` seconds.
    """
    yosys = tools.find("abc", "to synthesize")
    text = "\n".join(part.render() for part in module.hierarchy())
    library = None if liberty is None else liberty.read_text(encoding="utf-8", errors="replace")
    flow = FLOW if library is None else LIBERTY_FLOW
    kept = tools.cache_folder("gates", yosys.version, flow, module.name, text, library or "") / "gates.json"
    if kept.exists():
        return Gates(**json.loads(kept.read_text()))
    with TemporaryDirectory(dir=kept.parent) as name:
        folder = Path(name)
        (folder / "design.sv").write_text(text, encoding="utf-8")
        if library is not None:
            (folder / _LIBRARY).write_text(library, encoding="utf-8")
        written = yosys.script(_commands(module, library is not None), folder, timeout)
        counted = (folder / "stat.txt").read_text()
        longest = None if library is not None else (folder / "ltp.txt").read_text()
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
    kept.write_text(json.dumps(asdict(gates)), encoding="utf-8")
    return gates


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


def _named(liberty: Path | None, library: str | None) -> str | None:
    if liberty is None or library is None:
        return None
    return f"{liberty.name} {sha256(library.encode()).hexdigest()[:16]}"
