"""Write SystemVerilog."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from ptqsim import rtl
from ptqsim.cli.options import AlignmentOption, BitsOption, OrderOption, OverflowOption
from ptqsim.cli.output import JsonOption, Output
from ptqsim.cli.rtl_unit import (
    ABitsOption,
    AFormatOption,
    BBitsOption,
    ColumnsOption,
    DepthOption,
    MultiplierOption,
    NameOption,
    RuntimeOption,
    ShiftOption,
    describe,
    make_unit,
)
from ptqsim.rtl.design import parts_of
from ptqsim.rtl.picture import svg

PICTURE: Final = "datapath.svg"


def generate(
    output: Annotated[Path, typer.Option("-o", "--output", help="Directory to write.")],
    bits: BitsOption = 24,
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
    name: NameOption = "ptqsim",
    as_json: JsonOption = False,
) -> None:
    """Write a dot-product unit, and with --columns a weight-stationary tile: a file per module, a list, a manifest."""
    out = Output(as_json)
    unit = make_unit(
        bits, overflow, order, alignment, depth, a_bits, b_bits, shift, a_format, runtime_shift, multiplier, name
    )
    modules = rtl.tops(unit, columns)
    written = rtl.write(modules, output, {"unit": unit.to_dict(), "columns": columns})
    (output / PICTURE).write_text(svg(unit), encoding="utf-8")
    rows = [
        (f"{part.name}.sv", len(part.render().splitlines()), part.header.strip().split("\n")[0].strip())
        for part in parts_of(modules)
    ]
    out.table(["file", "lines", "what it is"], rows, title=f"{output}: {describe(unit)}")
    out.note(f"files.f lists them in the order to compile; tops: {', '.join(module.name for module in modules)}")
    out.result({"output": output, "files": [*(path.name for path in written), PICTURE], "unit": unit.to_dict()})
