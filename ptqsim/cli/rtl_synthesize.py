"""Costs in gates."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ptqsim.cli.output import JsonOption, Output
from ptqsim.rtl.synthesis.flow import TIMEOUT
from ptqsim.rtl.synthesis.sweep import DESIGNS, RESOLUTION, Cost, grid, relation, sweep


def synthesize(
    designs: Annotated[str, typer.Option("--designs", help=f"Some of {', '.join(DESIGNS)}.")] = ",".join(DESIGNS),
    code_bits: Annotated[str, typer.Option("--code-bits", help="Widths k, e.g. 4,6,8.")] = "8",
    shifts: Annotated[str, typer.Option("--shifts", help="Alignment exponents m, e.g. 2,4,8.")] = "4",
    bits: Annotated[str, typer.Option("--bits", help="Accumulator widths P, e.g. 16,24,32.")] = "24",
    overflow: Annotated[str, typer.Option("--overflow", help="wrap, saturate or trap (not of pwlq).")] = "wrap",
    multiplier: Annotated[str, typer.Option("--multiplier", help="baugh_wooley or behavioral.")] = "baugh_wooley",
    liberty: Annotated[
        Path | None, typer.Option("--liberty", help="Cell library: area and delay in its units.")
    ] = None,
    timeout: Annotated[float, typer.Option("--timeout", min=1, help="Seconds per point.")] = TIMEOUT,
    jobs: Annotated[int | None, typer.Option("--jobs", min=1, help="Points at a time; one per core.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Cells, transistors and logic depth of one multiply-accumulate per cycle, registers and all.

    Every number stands with the tool and the flow that gave it. Tools differ from version to version by up to a tenth:
    a smaller gap is printed as not resolved. With a behavioral multiplier Yosys makes signed times signed larger than
    it need be, so that a twin unit looks smaller than a uniform one: compare with baugh_wooley.
    """
    out = Output(as_json)
    points = grid(designs.split(","), _integers("--code-bits", code_bits), _integers("--shifts", shifts),
                  _integers("--bits", bits), overflow=overflow, multiplier=multiplier)  # fmt: skip
    with out.progress("synthesis", "point") as report:
        costs = sweep(points, liberty, timeout, jobs, lambda done, total: report(done, total, ""))
    unit = "area" if liberty is not None else "transistors"
    columns = ["design", "k", "m", "P", "cells", "flip-flops", unit, "delay, ps" if liberty else "depth", "to uniform"]
    out.table(columns, [_row(cost, costs) for cost in costs], title=f"one processing element, {overflow}, {multiplier}")
    for cost in costs:
        if cost.failure is not None:
            out.note(f"{cost.point.design}, k = {cost.point.bits}: no result: {cost.failure}")
    made = next((cost.gates for cost in costs if cost.gates is not None), None)
    if made is not None:
        out.note(f"{made.tool}; {made.flow}; multiplier {multiplier}{f'; {made.liberty}' if made.liberty else ''}")
    out.note(f"gaps under {RESOLUTION:.0%} are not resolved")
    out.result(
        {
            "points": [
                {"point": asdict(cost.point), "gates": None if cost.gates is None else asdict(cost.gates),
                 "failure": cost.failure}
                for cost in costs
            ]
        }
    )  # fmt: skip
    if any(cost.failure is not None for cost in costs):
        raise typer.Exit(1)


def _row(cost: Cost, costs: list[Cost]) -> list[str | int | float | None]:
    point, gates = cost.point, cost.gates
    shift = None if point.design in ("uniform", "pwlq") else point.shift
    head: list[str | int | float | None] = [point.design, point.bits, shift, point.acc_bits]
    if gates is None:
        return [*head, None, None, None, None, None]
    value = _size(cost)
    uniform = [other for other in costs if other.point.design == "uniform"]
    width = point.bits, point.acc_bits
    base = next((_size(other) for other in uniform if (other.point.bits, other.point.acc_bits) == width), None)
    beside = "" if base is None or value is None or point.design == "uniform" else relation(value, base)
    time = gates.depth if gates.liberty is None else gates.delay
    return [*head, gates.cells, gates.flip_flops, value, time, beside]


def _size(cost: Cost) -> float | None:
    if cost.gates is None:
        return None
    return cost.gates.transistors if cost.gates.transistors is not None else cost.gates.area


def _integers(option: str, text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise ValueError(f"{option} {text!r} can't be read; legal are integers with commas: try {option} 4,8") from None
