"""Hardware beside simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

import ptqsim as pq
from ptqsim import golden, rtl
from ptqsim.cli.framework import places
from ptqsim.cli.framework.options import (
    AlignmentOption,
    AUnsignedOption,
    AZeroPointOption,
    BitsOption,
    BUnsignedOption,
    BZeroPointOption,
    DataOption,
    OrderOption,
    OverflowOption,
    SeedOption,
    ZeroPointOption,
    make_accumulator,
)
from ptqsim.cli.framework.output import JsonOption, Output
from ptqsim.cli.network.layer_codes import (
    CalibratedLayer,
    GroupOption,
    ImagesOption,
    LayerArgument,
    LayerOption,
    refuse,
)
from ptqsim.cli.rtl.encoder_block import BlockOption, ModelArgument, block_of, is_encoder_block, simulate_block
from ptqsim.cli.rtl.integer_unit import (
    DivisionOption,
    FormulationOption,
    LanesOption,
    SettingOption,
    UnitFileOption,
    hardware_of,
    named_unit,
    refuse_product_options,
    simulate_unit,
)
from ptqsim.cli.rtl.unit import (
    AFormatOption,
    BBitsOption,
    BFormatOption,
    ColumnsOption,
    MultiplierOption,
    RuntimeOption,
    ShiftOption,
    ZeroPoints,
    describe,
    make_unit,
)
from ptqsim.rtl.simulation.run import expected_of, unit_of
from ptqsim.rtl.simulation.vectors import write_bench

_LINES: Final = 32
_DEPTH: Final = 64
_LAYER_COLUMNS: Final = 8


def simulate(
    context: typer.Context,
    calibrated: LayerArgument = None,
    model: ModelArgument = None,
    block: BlockOption = None,
    bits: BitsOption = 18,
    overflow: OverflowOption = "wrap",
    order: OrderOption = "sequential",
    alignment: AlignmentOption = "product",
    depth: Annotated[int | None, typer.Option("--depth", help=f"Products per output, K: {_DEPTH}.")] = None,
    a_bits: Annotated[int | None, typer.Option("--a-bits", help="Width of the left codes, 2 to 16; 8.")] = None,
    b_bits: BBitsOption = None,
    shift: ShiftOption = None,
    a_format: AFormatOption = None,
    b_format: BFormatOption = None,
    runtime_shift: RuntimeOption = False,
    a_unsigned: AUnsignedOption = False,
    a_zero_point: AZeroPointOption = 0,
    b_unsigned: BUnsignedOption = False,
    b_zero_point: BZeroPointOption = 0,
    zero_point: ZeroPointOption = None,
    multiplier: MultiplierOption = "behavioral",
    columns: ColumnsOption = None,
    rows: Annotated[
        int | None, typer.Option("--rows", min=1, help=f"Rows of a, M: {_LINES}, or all of a layer.")
    ] = None,
    cols: Annotated[
        int | None, typer.Option("--cols", min=1, help=f"Columns of b, N: {_LINES}, or all of a layer.")
    ] = None,
    pattern: Annotated[str | None, typer.Option("--codes", help="mixed, corners or random; mixed.")] = None,
    seed: SeedOption = 0,
    layer: LayerOption = None,
    group: GroupOption = 0,
    data: DataOption = "digits",
    images: ImagesOption = 1,
    formulation: FormulationOption = None,
    setting: SettingOption = None,
    unit_file: UnitFileOption = None,
    division: DivisionOption = None,
    lanes: LanesOption = 1,
    engine: Annotated[str, typer.Option("--engine", help=f"One of {', '.join(rtl.ENGINES)}, or all.")] = "cxxrtl",
    output: Annotated[
        Path | None,
        typer.Option(*places.OUT, parser=places.path, help="Write a self-checking bench and its vectors here as well."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the hardware and compare every accumulator with the simulator's; exit status 1 at any difference.

    Codes are made to hit the corners and to overflow. A layer of a calibrated model gives its real ones, and they run
    through a tile of 8 columns (--columns for another):

        ptqsim rtl simulate m.safetensors --layer blocks.0.mlp.fc2 --bits 16

    The default engine needs no system package but g++: Yosys from PyPI writes C++. The first use of it after an
    installation takes a minute or more, in which it compiles itself.

    The name of an integer unit in place of a file, as in *ptqsim rtl simulate softmax --lanes 4*, runs rows of scores,
    accumulators or residuals through it, some of them adversarial, and compares every code.

    *ptqsim rtl simulate block m.safetensors --block 0 --images 10* runs images through an encoder block of an
    integer-only network, and compares every code and every accumulator on its edges; *network* in place of *block*
    runs all of it, from the pixels to the logits.
    """
    out = Output(as_json)
    places.check_folder("-o", output)
    if is_encoder_block(calibrated, model):
        refuse(
            {"-o": output}, "the memories of an encoder block are compared here: ptqsim rtl generate block writes it"
        )
        encoder, quantized = block_of(context, calibrated, model, block, columns, bits, overflow)
        simulate_block(out, encoder, quantized, data, images, engine, seed)
        return
    refuse({"--block": block}, "no encoder block was named")
    what = named_unit(calibrated)
    if what is not None or unit_file is not None:
        refuse_product_options(context)
        hardware = hardware_of(what or "unit", formulation, setting, unit_file, division, lanes, multiplier, "ptqsim")
        simulate_unit(out, hardware, rows or _LINES, engine, seed)
        return
    refuse({"--formulation": formulation, "--setting": setting, "--division": division}, "no integer unit was named")
    plain = {"--depth": depth, "--a-bits": a_bits, "--b-bits": b_bits, "--shift": shift, "--a-format": a_format,
             "--b-format": b_format, "--codes": pattern, "--a-unsigned": a_unsigned or None,
             "--a-zero-point": a_zero_point or None, "--b-unsigned": b_unsigned or None,
             "--b-zero-point": b_zero_point or None}  # fmt: skip
    source: object = None
    if calibrated is not None:
        refuse(plain, f"{calibrated} says what its layers are")
        chosen_layer = CalibratedLayer.open(calibrated, layer)
        if chosen_layer.has_blocks:
            raise ValueError(
                f"{layer} has blocks, and hardware of a layer is simulated for plain formats; legal is a layer without "
                f"blocks: golden vectors of this one are written by ptqsim vectors {calibrated} --layer {layer} -o DIR"
            )
        a, b, source = chosen_layer.codes(group, data, images, seed)
        a, b = a[..., :rows, :], b[..., :cols]
        accumulator = make_accumulator(bits, overflow, order, alignment, zero_point or chosen_layer.zero_point)
        unit = unit_of(a, b, accumulator, runtime_shift, multiplier)
        columns = _LAYER_COLUMNS if columns is None else columns
    else:
        refuse({"--layer": layer}, "no calibrated model was given")
        made = _DEPTH if depth is None else depth
        unit = make_unit(
            bits, overflow, order, alignment, made, 8 if a_bits is None else a_bits, b_bits, shift, a_format,
            runtime_shift, multiplier,
            zero_points=ZeroPoints(a_unsigned, a_zero_point, b_unsigned, b_zero_point, zero_point), b_format=b_format,
        )  # fmt: skip
        chosen = golden.Pattern.of("mixed" if pattern is None else pattern)
        a, b = golden.stimulus(unit.a, unit.b, rows or _LINES, made, cols or _LINES, chosen, seed)
    ran, absent = _run(a, b, unit, columns, engine, seed)
    found = [_line(one, unit.depth) for one in ran]
    where = "" if calibrated is None else f"{layer}, group {group}, {images} image{'s' if images > 1 else ''}: "
    out.table(
        ["engine", "outputs", "steps", "trapped", "differ", "build_seconds", "run_seconds"],
        [tuple(row.values()) for row in found],
        title=where + describe(unit),
    )
    for line in absent:
        out.note(f"not run: {line}")
    if calibrated is not None:
        out.note(f"a {list(a.shape)} times b {list(b.shape)}: real codes, through {_through(columns)}")
    if output is not None and ran:
        first = (0,) * (a.ndim - 2)
        answer = ran[0].wanted
        one = rtl.HardwareResult(answer.acc[first], None if answer.trapped is None else answer.trapped[first])
        module = rtl.tops(unit, columns)[-1]
        written = write_bench(module, unit, columns, a[first], b[first], one, output, seed)
        out.note(f"{output}: {len(written)} files; a bench of any simulator reads them, see docs/rtl.md")
    out.result({"unit": unit.to_dict(), "columns": columns, "source": source, "engines": found, "not_run": absent})
    if not ran or not all(one.equal for one in ran):
        raise typer.Exit(1)


def _run(
    a: pq.QuantizedArray, b: pq.QuantizedArray, unit: rtl.Unit, columns: int | None, engine: str, seed: int
) -> tuple[list[rtl.Simulation], list[str]]:
    """Results of the engines that ran; a note for each that is not installed, an error if it was asked for by name."""
    wanted = expected_of(a, b, unit.accumulator)
    ran: list[rtl.Simulation] = []
    absent: list[str] = []
    for name in rtl.ENGINES if engine == "all" else (engine,):
        try:
            ran.append(rtl.simulate(a, b, unit, columns, name, seed, wanted))
        except rtl.MissingToolError as error:
            if engine != "all":
                raise
            absent.append(str(error))
    return ran, absent


def _line(one: rtl.Simulation, depth: int) -> dict[str, str | int | float]:
    return {
        "engine": one.engine,
        "outputs": one.comparison.outputs,
        "steps": one.comparison.outputs * depth,
        "trapped": one.comparison.trapped,
        "differ": len(one.comparison.differ),
        "build_seconds": round(one.build_seconds, 2),
        "run_seconds": round(one.run_seconds, 2),
    }


def _through(columns: int | None) -> str:
    return "a dot-product unit" if columns is None else f"a weight-stationary tile of {columns} columns"
