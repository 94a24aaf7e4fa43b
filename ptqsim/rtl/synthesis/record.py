"""A sweep as files: the counts as CSV, and what they were made with as JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from ptqsim.common import files, strict_json
from ptqsim.datapath.spec import OverflowMode
from ptqsim.rtl.hardware.unit import Multiplier
from ptqsim.rtl.synthesis.designs import COMBINATIONAL, DESIGNS, ZERO_POINTS, DesignPoint
from ptqsim.rtl.synthesis.flow import rtl_of
from ptqsim.rtl.synthesis.integer_units import UnitPoint
from ptqsim.rtl.synthesis.kept import ORIGIN, TABLE, UNITS_ORIGIN, UNITS_TABLE, digest
from ptqsim.rtl.synthesis.sweep import Cost, grid

SCHEMA: Final = "ptqsim-gates-1"
_COUNTS: Final = ("cells", "flip_flops", "transistors", "depth", "area", "delay")


def kept_points() -> list[DesignPoint]:
    """The designs kept with the package.

    They are the whole grid of widths and shifts, finer lines through its center, registers as narrow as a network
    tolerates, zero points, and requantizers.
    """
    center = (8,), (4,), (24,)
    wired = ("uniform", "softmax", "gelu")
    elsewhere = ("softmax_operand", "gelu_operand", "softmax_deferred", "gelu_deferred")
    narrow, modes = range(8, 25, 2), ("wrap", "saturate")
    points = [
        *grid(DESIGNS, (4, 6, 8), (1, 4, 8), (16, 24, 32), tuple(OverflowMode)),
        *grid(DESIGNS, (3, 5, 7), *center[1:]),
        *grid(DESIGNS, center[0], (2, 3, 5, 6, 7), center[2]),
        *grid(DESIGNS, *center[:2], (12, 14, 18, 20, 22, 26, 28, 30)),
        *grid(DESIGNS, *center, multiplier=Multiplier.BEHAVIORAL),
        *grid(wired, *center, modes, ("tree:4", "tree:16", "split:16:20")),
        *grid(wired, (4, 6, 8), (4,), narrow, modes),
        *grid(("softmax_runtime", "gelu_runtime"), (4, 6, 8), (8,), narrow, modes),
        *grid(elsewhere, *center[:2], narrow, modes),
        *grid(wired[1:], *center[:2], narrow, ("saturate",), ("tree:4", "tree:16")),
        *grid(ZERO_POINTS, (4, 6, 8), center[1], center[2], modes),
        *grid(COMBINATIONAL, (4, 6, 8), *center[1:]),
    ]
    return list(dict.fromkeys(points))


def write(costs: Sequence[Cost[Any]], folder: Path, command: str) -> list[Path]:
    """Write `gates.csv` and `gates.json`, of integer units `gates.units.csv` and `gates.units.json`.

    Raises
    ------
    ValueError
        If a point has no result, or they are not all of one tool and flow: then the rows can't be compared.
    """
    failed = [cost for cost in costs if cost.gates is None]
    if failed:
        raise ValueError(f"{len(failed)} points have no result and nothing is written: {failed[0].failure}")
    made = [cost.gates for cost in costs if cost.gates is not None]
    tools = {(gates.tool, gates.flow, gates.liberty) for gates in made}
    if len(tools) != 1:
        raise ValueError(f"counts of {len(tools)} tools or flows can't stand in one table: synthesize all --anew")
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*asdict(costs[0].point), *_COUNTS, "rtl_sha256"])
    for cost, gates in zip(costs, made, strict=True):
        counts = asdict(gates)
        written = ["" if counts[name] is None else counts[name] for name in _COUNTS]
        table.writerow([*asdict(cost.point).values(), *written, digest(rtl_of(cost.point.module()))])
    (tool, flow, liberty), content = tools.pop(), text.getvalue()
    document = {
        "schema": SCHEMA,
        "ptqsim": version("ptqsim"),
        "command": command,
        "tool": tool,
        "flow": flow,
        "liberty": liberty,
        "points": len(costs),
        "csv_sha256": sha256(content.encode()).hexdigest(),
    }
    names = (UNITS_TABLE, UNITS_ORIGIN) if isinstance(costs[0].point, UnitPoint) else (TABLE, ORIGIN)
    files.write(folder / names[0], content)
    files.write(folder / names[1], strict_json.dumps(document, indent=2) + "\n")
    return [folder / name for name in names]
