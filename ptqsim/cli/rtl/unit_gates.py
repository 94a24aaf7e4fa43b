"""Costs of integer units in gates."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import typer

from ptqsim.cli.framework.output import Output
from ptqsim.cli.rtl.integer_unit import UNIT_NAMES
from ptqsim.errors import unknown_name
from ptqsim.rtl.synthesis.integer_units import kept_units
from ptqsim.rtl.synthesis.record import write
from ptqsim.rtl.synthesis.sweep import RESOLUTION, sweep


def synthesize_units(
    out: Output, what: str, liberty: Path | None, timeout: float, jobs: int | None, anew: bool, output: Path | None
) -> None:
    """Count the gates of the integer units that are kept; exit status 1 if one has no count."""
    names = UNIT_NAMES if what == "all" else tuple(name.strip() for name in what.split(","))
    for name in names:
        if name not in UNIT_NAMES:
            raise unknown_name("unit", name, (*UNIT_NAMES, "all"))
    points = [point for point in kept_units() if point.unit in names]
    with out.progress("synthesis", "unit") as report:
        costs = sweep(points, liberty, timeout, jobs, report, anew)
    size = "area" if liberty is not None else "transistors"
    head = ["unit", "formulation", "k", "lanes", "R", "table", "residual", "p"]
    rows: list[list[str | int | float | None]] = []
    for cost, point in zip(costs, points, strict=True):
        softmax, norm = point.unit == "softmax", point.unit == "layernorm"
        table = f"{point.entries} x {point.table_bits}" if softmax and point.formulation == "table" else None
        about: list[str | int | float | None] = [
            point.unit, point.formulation, point.bits, point.lanes, point.reciprocal or None, table,
            point.residual_bits if norm or point.unit == "residual" else None, point.precision if norm else None,
        ]  # fmt: skip
        gates = cost.gates
        if gates is None:
            rows.append([*about, None, None, None, None])
            out.note(f"{point.unit} {point.formulation}, k = {point.bits}: no result: {cost.failure}")
            continue
        amount = gates.transistors if gates.transistors is not None else gates.area
        rows.append([*about, gates.cells, gates.flip_flops, amount, gates.depth if liberty is None else gates.delay])
    out.table([*head, "cells", "flip-flops", size, "depth" if liberty is None else "delay, ps"], rows)
    made = next((cost.gates for cost in costs if cost.gates is not None), None)
    if made is not None:
        out.note(f"{made.tool}; {made.flow}{f'; {made.liberty}' if made.liberty else ''}")
    out.note(f"gaps under {RESOLUTION:.0%} are not resolved; of a row buffer one word is counted")
    if output is not None:
        command = " ".join(["ptqsim", *(output.name if word == str(output) else word for word in sys.argv[1:])])
        out.note(f"written to {', '.join(map(str, write(costs, output, command)))}")
    out.result(
        {
            "points": [
                {"point": asdict(point), "gates": None if cost.gates is None else asdict(cost.gates),
                 "failure": cost.failure}
                for cost, point in zip(costs, points, strict=True)
            ]
        }
    )  # fmt: skip
    if any(cost.failure is not None for cost in costs):
        raise typer.Exit(1)
