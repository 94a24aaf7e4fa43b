"""Write SystemVerilog."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer

import ptqsim as pq
from ptqsim import rtl
from ptqsim.cli.blocks import is_block, refuse_block_options
from ptqsim.cli.framework import places
from ptqsim.cli.framework.options import (
    AlignmentOption,
    AUnsignedOption,
    AZeroPointOption,
    BitsOption,
    BUnsignedOption,
    BZeroPointOption,
    OrderOption,
    OverflowOption,
    RegisterOption,
    ZeroPointOption,
)
from ptqsim.cli.framework.output import JsonOption, Output
from ptqsim.cli.network.layer_codes import refuse
from ptqsim.cli.rtl.block_unit import generate_blocks
from ptqsim.cli.rtl.encoder_block import BlockOption, ModelArgument, block_of, generate_block, is_encoder_block
from ptqsim.cli.rtl.integer_unit import (
    UNIT_NAMES,
    DivisionOption,
    FormulationOption,
    LanesOption,
    SettingOption,
    UnitFileOption,
    WhatArgument,
    generate_unit,
    hardware_of,
    refuse_product_options,
)
from ptqsim.cli.rtl.unit import (
    ABitsOption,
    AFormatOption,
    BBitsOption,
    BFormatOption,
    ColumnsOption,
    DepthOption,
    MultiplierOption,
    NameOption,
    RuntimeOption,
    ShiftOption,
    ZeroPoints,
    describe,
    make_unit,
)
from ptqsim.common import files
from ptqsim.rtl.design import parts_of
from ptqsim.rtl.hardware.unit import checked_name
from ptqsim.rtl.hardware.verilog import Module
from ptqsim.rtl.picture import svg

PICTURE: Final = "datapath.svg"


def generate(
    context: typer.Context,
    output: Annotated[Path, typer.Option(*places.OUT, parser=places.path, help="Directory to write.")],
    what: WhatArgument = None,
    model: ModelArgument = None,
    block: BlockOption = None,
    bits: BitsOption = 24,
    overflow: OverflowOption = "wrap",
    order: OrderOption = "sequential",
    alignment: AlignmentOption = "product",
    depth: DepthOption = 64,
    a_bits: ABitsOption = 8,
    b_bits: BBitsOption = None,
    shift: ShiftOption = None,
    a_format: AFormatOption = None,
    b_format: BFormatOption = None,
    register: RegisterOption = None,
    runtime_shift: RuntimeOption = False,
    a_unsigned: AUnsignedOption = False,
    a_zero_point: AZeroPointOption = 0,
    b_unsigned: BUnsignedOption = False,
    b_zero_point: BZeroPointOption = 0,
    zero_point: ZeroPointOption = None,
    multiplier: MultiplierOption = "behavioral",
    columns: ColumnsOption = None,
    requantize: Annotated[
        str | None,
        typer.Option(
            "--requantize",
            help="Also a requantizer by this factor to codes of --a-bits; with commas one factor per channel.",
        ),
    ] = None,
    rounding: Annotated[
        str, typer.Option("--rounding", help=f"Of the requantizer: {', '.join(map(str, pq.RequantizeRounding))}.")
    ] = "half_away",
    multiplier_bits: Annotated[int, typer.Option("--multiplier-bits", help="Of the requantizer, 1 to 31.")] = 31,
    bias_bits: Annotated[
        int | None, typer.Option("--bias-bits", help="Width of a bias that the requantizer adds; none by default.")
    ] = None,
    pwlq: Annotated[
        bool, typer.Option("--pwlq", help="Also the unit of PWLQ of these widths, to compare with.")
    ] = False,
    formulation: FormulationOption = None,
    setting: SettingOption = None,
    unit_file: UnitFileOption = None,
    division: DivisionOption = None,
    lanes: LanesOption = 1,
    name: NameOption = "ptqsim",
    as_json: JsonOption = False,
) -> None:
    """Write a dot-product unit, and with --columns a weight-stationary tile: a file per module, a list, a manifest.

    --requantize adds the unit that makes codes of its results, of the format of the left operand, and --pwlq the unit
    that twin codes are compared with.

    With the name of an integer unit, as in *ptqsim rtl generate softmax --formulation shiftmax*, that unit is written
    in place of a dot product: a stream of scores, accumulators or residuals in, codes out.

    *ptqsim rtl generate block m.safetensors --block 0* writes an encoder block of an integer-only network: a tile for
    its products, its integer units, memories, and the program that runs its steps; *network* all blocks, and the rest.
    """
    out = Output(as_json)
    places.check_folder("-o", output)
    if is_encoder_block(what, model):
        hardware, _ = block_of(context, what, model, block, columns, bits, overflow, name)
        generate_block(out, output, hardware)
        return
    refuse({"--block": block}, "no encoder block was named")
    if what is not None or unit_file is not None:
        refuse_product_options(context, but=["output"])
        named = what or "unit"
        if Path(named).suffix:
            raise ValueError(
                f"{named} was named, and this command takes integer units, {', '.join(UNIT_NAMES)}; calibrated files "
                "are for ptqsim rtl simulate and prove"
            )
        generate_unit(
            out, output, hardware_of(named, formulation, setting, unit_file, division, lanes, multiplier, name)
        )
        return
    refuse({"--formulation": formulation, "--setting": setting, "--division": division}, "no integer unit was named")
    if is_block(a_format, b_format):
        plain = {"--shift": shift, "--b-bits": b_bits, "--columns": columns, "--requantize": requantize,
                 "--runtime-shift": runtime_shift or None, "--pwlq": pwlq or None}  # fmt: skip
        generate_blocks(a_format, b_format, register, plain, multiplier, name, output, out)
        return
    refuse_block_options({"--register": register})
    unit = make_unit(
        bits,
        overflow,
        order,
        alignment,
        depth,
        a_bits,
        b_bits,
        shift,
        a_format,
        runtime_shift,
        multiplier,
        name,
        ZeroPoints(a_unsigned, a_zero_point, b_unsigned, b_zero_point, zero_point),
        b_format,
    )
    modules = rtl.tops(unit, columns)
    specification: dict[str, Any] = {"unit": unit.to_dict(), "columns": columns}
    if requantize is not None:
        made, requantizer = _requantizer(requantize, unit, rounding, multiplier_bits, bias_bits)
        modules, specification = [*modules, made], specification | requantizer
    if pwlq:
        other = rtl.PWLQUnit(
            a_bits, unit.b.bits, bits, overflow=overflow, multiplier=multiplier, name=checked_name(f"{name}_pwlq")
        )
        modules, specification = [*modules, other.module()], specification | {"pwlq": asdict(other)}
    written = rtl.write(modules, output, specification)
    files.write(output / PICTURE, svg(unit))
    rows = [
        (f"{part.name}.sv", len(part.render().splitlines()), " ".join(part.header.strip().split("\n\n")[0].split()))
        for part in parts_of(modules)
    ]
    out.table(["file", "lines", "what it is"], rows, title=f"{output}: {describe(unit)}")
    out.note(f"files.f lists them in the order to compile; tops: {', '.join(module.name for module in modules)}")
    out.result({"output": output, "files": [*(path.name for path in written), PICTURE], "unit": unit.to_dict()})


def _requantizer(
    factors: str, unit: rtl.Unit, rounding: str, multiplier_bits: int, bias_bits: int | None
) -> tuple[Module, dict[str, Any]]:
    """The requantizer behind a unit, and its specification: of one factor, or of one for every channel.

    Its codes are of the left operand's format, unsigned and with its zero point if that has one.
    """
    try:
        each = [pq.Requantizer.of(float(text), multiplier_bits, rounding) for text in factors.split(",")]
    except ValueError as error:
        if "could not convert" not in str(error):
            raise
        raise ValueError(f"--requantize {factors!r} can't be read; legal are numbers with commas: try 0.0117") from None
    signed, zero_point = getattr(unit.a, "signed", True), unit.a.zero_point
    target = unit.result.bits, unit.a.bits, bias_bits, unit.multiplier, unit.name, signed, zero_point
    one: rtl.RequantizerUnit | rtl.ChannelRequantizerUnit
    one = rtl.RequantizerUnit(each[0], *target) if len(each) == 1 else rtl.ChannelRequantizerUnit(tuple(each), *target)
    return one.module(), {"requantizer": asdict(one)}
