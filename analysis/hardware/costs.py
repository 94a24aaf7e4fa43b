"""Counts of gates for figures, and how each processing element is drawn and called."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from ptqsim.common import fingerprint
from ptqsim.rtl.synthesis import kept
from ptqsim.rtl.synthesis.flow import rtl_of
from ptqsim.rtl.synthesis.sweep import Cost, Point, sweep

from ..framework import style
from ..framework.workload import Workload

LOOKS: Final[dict[str, style.Look]] = {
    "uniform": style.Look("Uniform", style.ORANGE, (0, (4, 1.5)), "s"),
    "softmax": style.Look("Twin (softmax)", style.BLUE, "-", "o"),
    "gelu": style.Look("Twin (GELU)", style.GREEN, "-", "^"),
    "gelu_runtime": style.Look("GELU, $m$ an input", style.PURPLE, (0, (4, 1.5, 1, 1.5)), "v"),
    "gelu_operand": style.Look("GELU, operand shifted", style.SKY, (0, (6, 1)), "P"),
    "gelu_deferred": style.Look("GELU, deferred", style.BLACK, (0, (1, 1)), "x"),
    "pwlq": style.Look("PWLQ, rescaled", style.VERMILION, (0, (2, 1)), "D"),
}
"""Color and marker of each default design."""


def costs(points: Sequence[Point], workload: Workload) -> list[Cost[Point]]:
    """The cost of every point, by one tool: as kept with the package if all of them are, else synthesized.

    Raises
    ------
    ptqsim.rtl.MissingToolError
        If a point is not kept and there is no Yosys.
    RuntimeError
        If one has no result.
    """
    modules = [point.module() for point in points]
    known = [kept.gates(module.name, rtl_of(module)) for module in modules]
    if all(known):
        return [Cost(point, gates) for point, gates in zip(points, known, strict=True)]
    with workload.progress("synthesis", "point") as report:
        found = sweep(points, progress=report)
    for cost in found:
        if cost.gates is None:
            raise RuntimeError(f"no count for {cost.point}: {cost.failure}")
    return found


def counted(cost: Cost[Point]) -> dict[str, Any]:
    """One cost as cells of a row."""
    assert cost.gates is not None
    return {
        "transistors": cost.gates.transistors,
        "per_mac": cost.per_mac,
        "cells": cost.gates.cells,
        "flip_flops": cost.gates.flip_flops,
        "depth": cost.gates.depth,
        "tool": cost.gates.tool,
    }


def origin() -> dict[str, Any]:
    """Everything that decides the counts, for the keys of what is made from them."""
    table = Path(str(files("ptqsim.rtl.synthesis") / kept.TABLE))
    return {"flow": kept.origin()["flow"], "counts_sha256": fingerprint.file(table)}
