"""Measure the speed of matmul beside numpy's float32 product, every output checked against an oracle.

CPU time of one thread: the baseline takes turns with everything that is measured, and the ratio of their medians
counts. Each case is measured with operands that were multiplied before, and with new ones. Exit status 1 if an output
is wrong.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import ptqsim as pq
from benchmarks import machine, process, report
from benchmarks.cases import groups_for
from benchmarks.measure import Plan, Row, measure
from benchmarks.shapes import QUICK, SHAPES
from ptqsim.cli.options import SeedOption
from ptqsim.cli.output import JsonOption, Output


def bench(
    only: Annotated[
        str, typer.Option("--only", help="Only cases whose shape/operands/case matches, e.g. 'fc1*saturate 2*'.")
    ] = "",
    rounds: Annotated[int, typer.Option("--rounds", min=3, help="Rounds of which the median counts.")] = 9,
    quick: Annotated[bool, typer.Option("--quick", help="Small shapes, three rounds: a check only.")] = False,
    portable: Annotated[
        bool, typer.Option("--portable", help="Kernels as for an x86-64 processor with AVX2 and no more.")
    ] = False,
    seed: SeedOption = 0,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write the result to, as JSON.")] = None,
    as_json: JsonOption = False,
) -> None:
    wanted = process.settings(portable)
    if not process.is_set(wanted):
        raise typer.Exit(process.again(sys.argv[1:], wanted))
    output = Output(as_json)
    plan = Plan(3 if quick else rounds, 0.0005 if quick else 0.005, seed, portable)
    pq.set_num_threads(1)
    rows = _measured(QUICK if quick else SHAPES, only, plan, output)
    if not rows:
        raise ValueError(f"no case matches --only {only!r}; it is compared with shape/operands/case, * being anything")
    report.show(rows, output)
    data = {
        "command": machine.command(),
        "machine": machine.described(),
        "versions": machine.versions(),
        "seed": seed,
        "rounds": plan.rounds,
        "clock": "CPU time of one thread",
        "baseline": "numpy float32 matmul of the same shape",
        "cases": [report.record(row, rows) for row in rows],
    }
    if out is not None:
        out.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    output.result(data)
    _end(rows, output)


def _measured(shapes: Any, only: str, plan: Plan, output: Output) -> list[Row]:
    work = [(shape, group) for shape in shapes for group in groups_for(shape, only)]
    rows: list[Row] = []
    with output.progress("Measuring", "group") as told:
        for done, (shape, group) in enumerate(work):

            def state(text: str, done: int = done, name: str = f"{shape.name} {group.operands}") -> None:
                told(done, len(work), f"{name}: {text}")

            rows += measure(shape, group, plan, state)
    return rows


def _end(rows: list[Row], output: Output) -> None:
    wrong = [row for row in rows if row.wrong and not row.peer]
    for row in wrong:
        output.note(
            f"{row.shape.name} {row.operands} {row.case}: {row.wrong} of {row.shape.outputs} outputs are not what the "
            "oracle computes: a defect of this program; please report it"
        )
    if wrong:
        raise typer.Exit(1)
