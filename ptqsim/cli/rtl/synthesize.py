"""Costs in gates."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer

from ptqsim.cli.framework import places
from ptqsim.cli.framework.output import JsonOption, Output
from ptqsim.cli.rtl.integer_unit import UNIT_NAMES
from ptqsim.cli.rtl.unit import MOST_SECONDS
from ptqsim.cli.rtl.unit_gates import synthesize_units
from ptqsim.datapath.spec import OverflowMode
from ptqsim.rtl.synthesis.designs import ALL_DESIGNS, COMBINATIONAL, DESIGNS, PLAIN, DesignPoint
from ptqsim.rtl.synthesis.flow import TIMEOUT
from ptqsim.rtl.synthesis.record import kept_points, write
from ptqsim.rtl.synthesis.sweep import RESOLUTION, Cost, grid, relation, sweep

_BASES: Final = ("uniform", "requantizer")
"""Designs that others are compared with."""


def synthesize(
    what: Annotated[
        str | None, typer.Argument(help=f"Integer units in place of designs: all, or some of {', '.join(UNIT_NAMES)}.")
    ] = None,
    designs: Annotated[str, typer.Option("--designs", help=f"Some of {', '.join(ALL_DESIGNS)}.")] = ",".join(DESIGNS),
    code_bits: Annotated[str, typer.Option("--code-bits", help="Widths k, e.g. 4,6,8.")] = "8",
    shifts: Annotated[str, typer.Option("--shifts", help="Alignment exponents m, e.g. 2,4,8.")] = "4",
    bits: Annotated[str, typer.Option("--bits", help="Accumulator widths P, e.g. 16,24,32.")] = "24",
    overflow: Annotated[str, typer.Option("--overflow", help="Some of wrap, saturate, trap (not of pwlq).")] = "wrap",
    order: Annotated[
        str, typer.Option("--order", help="Some of sequential, tree:LANES, split:TILE:INNER_BITS (not of pwlq).")
    ] = "sequential",
    multiplier: Annotated[str, typer.Option("--multiplier", help="baugh_wooley or behavioral.")] = "baugh_wooley",
    liberty: Annotated[
        Path | None, typer.Option("--liberty", parser=places.path, help="Cell library: area and delay in its units.")
    ] = None,
    timeout: Annotated[float, typer.Option("--timeout", min=1, max=MOST_SECONDS, help="Seconds per point.")] = TIMEOUT,
    jobs: Annotated[int | None, typer.Option("--jobs", min=1, help="Points at a time; one per core.")] = None,
    kept: Annotated[bool, typer.Option("--kept", help="The points whose counts come with the package.")] = False,
    anew: Annotated[bool, typer.Option("--anew", help="Synthesize, whatever is kept.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(*places.OUT, parser=places.path, help="Write gates.csv, and gates.json with its origin, here."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Cells, transistors and logic depth of a processing element, registers and all.

    Every number stands with the tool and the flow that gave it. Tools differ from version to version by up to a tenth:
    a smaller gap is printed as not resolved. With a behavioral multiplier Yosys makes signed times signed larger than
    it need be, so that a twin unit looks smaller than a uniform one: compare with baugh_wooley.

    Beside processing elements, both_row is the sum along a row that all columns share, and requantizers, from P bits
    to k with a multiplier of 16, are compared with the one whose multiplier is wired.

    The counts of a grid come with the package. They are taken if the Yosys that is installed is of the version that
    they were made with, or if none is; --anew counts again.

    *ptqsim rtl synthesize all*, or softmax,gelu and so on, counts the integer units that are kept, of whose row buffers
    one word is left: a row is kept in a memory.
    """
    out = Output(as_json)
    places.check_folder("-o", output)
    if what is not None:
        synthesize_units(out, what, liberty, timeout, jobs, anew, output)
        return
    points = kept_points() if kept else grid(
        _names(designs), _integers("--code-bits", code_bits), _integers("--shifts", shifts),
        _integers("--bits", bits), [OverflowMode.of(name) for name in _names(overflow)], _names(order), multiplier,
    )  # fmt: skip
    with out.progress("synthesis", "point") as report:
        costs = sweep(points, liberty, timeout, jobs, report, anew)
    unit = "area" if liberty is not None else "transistors"
    columns = ["design", "k", "m", "P", "overflow", "order", "cells", "flip-flops", unit, f"{unit} per MAC",
               "delay, ps" if liberty else "depth", "to uniform"]  # fmt: skip
    bases = {_base(cost.point): cost.per_mac for cost in costs if cost.point.design in _BASES}
    out.table(columns, [_row(cost, bases) for cost in costs], title=f"one processing element, multiplier {multiplier}")
    for cost in costs:
        if cost.failure is not None:
            out.note(f"{cost.point.design}, k = {cost.point.bits}: no result: {cost.failure}")
    made = next((cost.gates for cost in costs if cost.gates is not None), None)
    if made is not None:
        out.note(f"{made.tool}; {made.flow}{f'; {made.liberty}' if made.liberty else ''}")
        if made.liberty is not None and made.delay is None:
            out.note("no delay: this Yosys does not show what its ABC writes; $PTQSIM_YOSYS names another")
    out.note(f"gaps under {RESOLUTION:.0%} are not resolved")
    if output is not None:
        written = write(
            costs,
            output,
            " ".join(["ptqsim", *(output.name if word == str(output) else word for word in sys.argv[1:])]),
        )
        out.note(f"written to {', '.join(map(str, written))}")
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


def _row(cost: Cost[DesignPoint], bases: Mapping[tuple[object, ...], float | None]) -> list[str | int | float | None]:
    point, gates = cost.point, cost.gates
    shift = None if point.design in PLAIN else point.shift
    head: list[str | int | float | None] = [
        point.design,
        point.bits,
        shift,
        point.acc_bits,
        point.overflow,
        point.order,
    ]
    if gates is None or cost.per_mac is None:
        return [*head, None, None, None, None, None, None]
    base = bases.get(_base(point))
    beside = "" if base is None or point.design in _BASES else relation(cost.per_mac, base)
    time = gates.depth if gates.liberty is None else gates.delay
    size = gates.transistors if gates.transistors is not None else gates.area
    return [*head, gates.cells, gates.flip_flops, size, round(cost.per_mac, 1), time, beside]


def _base(point: DesignPoint) -> tuple[object, ...]:
    """Properties in which a uniform unit, or a requantizer, must agree to be comparable."""
    part = point.design in COMBINATIONAL
    return part, point.bits, point.acc_bits, point.overflow, point.order, point.multiplier


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _integers(option: str, text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise ValueError(f"{option} {text!r} can't be read; legal are integers with commas: try {option} 4,8") from None
