"""Hardware beside simulator."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from ptqsim import golden, rtl
from ptqsim.cli.options import AlignmentOption, BitsOption, OrderOption, OverflowOption, SeedOption
from ptqsim.cli.output import JsonOption, Output
from ptqsim.cli.rtl_unit import (
    ABitsOption,
    AFormatOption,
    BBitsOption,
    ColumnsOption,
    DepthOption,
    MultiplierOption,
    RuntimeOption,
    ShiftOption,
    describe,
    make_unit,
)
from ptqsim.rtl.simulation.vectors import write_bench


def simulate(
    bits: BitsOption = 18,
    overflow: OverflowOption = "wrap",
    order: OrderOption = "sequential",
    alignment: AlignmentOption = "product",
    depth: DepthOption = 64,
    a_bits: ABitsOption = 8,
    b_bits: BBitsOption = None,
    shift: ShiftOption = None,
    a_format: AFormatOption = None,
    runtime_shift: RuntimeOption = False,
    multiplier: MultiplierOption = "behavioral",
    columns: ColumnsOption = None,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Rows of a, M.")] = 32,
    cols: Annotated[int, typer.Option("--cols", min=1, help="Columns of b, N.")] = 32,
    pattern: Annotated[str, typer.Option("--codes", help="mixed, corners or random.")] = "mixed",
    seed: SeedOption = 0,
    engine: Annotated[str, typer.Option("--engine", help=f"One of {', '.join(rtl.ENGINES)}, or all.")] = "cxxrtl",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write a self-checking bench and its vectors here as well.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the hardware and compare every accumulator with the simulator's; exit status 1 at any difference.

    The default engine needs no system package but g++: Yosys from PyPI writes C++. The first use of it after an
    installation takes a minute or more, in which it compiles itself.
    """
    out = Output(as_json)
    unit = make_unit(
        bits, overflow, order, alignment, depth, a_bits, b_bits, shift, a_format, runtime_shift, multiplier
    )
    a, b = golden.stimulus(unit.a, unit.b, rows, depth, cols, golden.Pattern.of(pattern), seed)
    wanted = rtl.expected(a, b, unit.accumulator)
    module = rtl.tops(unit, columns)[-1]
    failed = False
    found: list[dict[str, str | int | float]] = []
    absent: list[str] = []
    for name in rtl.ENGINES if engine == "all" else (engine,):
        start = time.monotonic()
        try:
            simulated = rtl.build(module, name)
        except rtl.MissingToolError as error:
            if engine != "all":
                raise
            absent.append(str(error))
            continue
        built = time.monotonic()
        if columns is None:
            result = rtl.dot_matmul(simulated, unit, a, b, rtl.Schedule(seed))
        else:
            result = rtl.tile_matmul(simulated, unit, columns, a, b, rtl.Schedule(seed))
        comparison = rtl.compare(result, wanted)
        failed |= not comparison.equal
        found.append(
            {
                "engine": name,
                "outputs": comparison.outputs,
                "steps": comparison.outputs * depth,
                "trapped": comparison.trapped,
                "differ": len(comparison.differ),
                "build_seconds": round(built - start, 2),
                "run_seconds": round(time.monotonic() - built, 2),
            }
        )
    columns_shown = ["engine", "outputs", "steps", "trapped", "differ", "build_seconds", "run_seconds"]
    out.table(columns_shown, [tuple(row.values()) for row in found], title=describe(unit))
    for line in absent:
        out.note(f"not run: {line}")
    if output is not None:
        written = write_bench(module, unit, columns, a, b, wanted, output, seed)
        out.note(f"{output}: {len(written)} files; a bench of any simulator reads them, see docs/rtl.md")
    out.result({"unit": unit.to_dict(), "columns": columns, "engines": found, "not_run": absent})
    if failed or not found:
        raise typer.Exit(1)
