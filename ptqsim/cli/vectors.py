"""Write golden vectors for hardware and C test benches, and check them.

Codes in, accumulators out and every step of one output: hex files for $readmemh, a C header, npz, and a manifest that
says in JSON what the datapath is and how to read them. The accumulators come from the reference in Python integers.

    ptqsim vectors --bits 18 --overflow saturate --shift 4 --depth 64 -o gelu

takes codes made to hit the corners and to overflow; a layer of a calibrated model gives real ones:

    ptqsim vectors m.safetensors --layer blocks.0.mlp.fc2 --bits 18 -o fc2

With *--unit* they are those of an integer unit, from its inputs to its codes with every value between them: of a
formulation, as *ptqsim units* names it, or of a unit of an integer-only network:

    ptqsim vectors --unit layer_norm -o norm
    ptqsim vectors m.safetensors --unit blocks.0.norm1 -o norm1

With a block format they are those of products of blocks:

    ptqsim vectors --a-format mxfp8 --depth 96 --register fixed:24:-12 -o mx

The register is written after every step of every output. A layer whose operands have blocks gives such vectors, too:

    ptqsim vectors mx.safetensors --layer blocks.0.mlp.fc1 --rows 8 -o fc1

*ptqsim vectors --check DIR* reads everything back and recomputes it; exit status 1 at any mismatch.

The left operand is twin_gelu where *--shift* is given, else uniform; the right one is always uniform.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

from ptqsim import golden
from ptqsim.cli import unit_vectors
from ptqsim.cli.block_vectors import refuse_plain_register, show_blocks, stimulus_of_blocks, write_block_vectors
from ptqsim.cli.blocks import BLOCKS, block_formats, is_block, refuse_block_options
from ptqsim.cli.findings import show_findings
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
    ProfileOption,
    RegisterOption,
    SeedOption,
    ZeroPointOption,
    make_accumulator,
    make_profile,
)
from ptqsim.cli.framework.output import JsonOption, Output
from ptqsim.cli.network.layer_codes import (
    CalibratedLayer,
    GroupOption,
    ImagesOption,
    LayerArgument,
    LayerOption,
    first_lines,
    refuse,
)
from ptqsim.cli.number_formats import LEFT_FORMATS, RIGHT_FORMATS, make_format, make_right_format
from ptqsim.datapath.blocks.registers import Float32, parse_register

_ROWS: Final = 8
_ONE_OF_LEFT: Final = f"One of {', '.join((*LEFT_FORMATS, *BLOCKS))}."
_ONE_OF_RIGHT: Final = f"One of {', '.join((*RIGHT_FORMATS, *BLOCKS))}."


def vectors(
    context: typer.Context,
    calibrated: LayerArgument = None,
    output: Annotated[Path | None, typer.Option(*places.OUT, parser=places.path, help="Directory to write.")] = None,
    checked: Annotated[
        Path | None, typer.Option("--check", parser=places.path, help="Directory to verify instead.")
    ] = None,
    bits: BitsOption = 32,
    overflow: OverflowOption = "wrap",
    order: OrderOption = "sequential",
    alignment: AlignmentOption = "product",
    zero_point: ZeroPointOption = None,
    register: RegisterOption = None,
    profile: ProfileOption = None,
    depth: Annotated[int | None, typer.Option("--depth", help="Products per output, K.")] = None,
    rows: Annotated[
        int | None, typer.Option("--rows", min=1, help=f"Rows of a, M: {_ROWS}, or all of a layer; of a unit 64.")
    ] = None,
    cols: Annotated[
        int | None, typer.Option("--cols", min=1, help=f"Columns of b, N: {_ROWS}, or all of a layer.")
    ] = None,
    a_bits: Annotated[int | None, typer.Option("--a-bits", help="Width of the left codes, 2 to 16; 8.")] = None,
    b_bits: Annotated[int | None, typer.Option("--b-bits", help="Width of the right codes; as --a-bits.")] = None,
    shift: Annotated[int | None, typer.Option("--shift", help="Alignment exponent m of a twin format.")] = None,
    a_format: Annotated[str | None, typer.Option("--a-format", help=_ONE_OF_LEFT)] = None,
    b_format: Annotated[str | None, typer.Option("--b-format", help=_ONE_OF_RIGHT)] = None,
    a_unsigned: AUnsignedOption = False,
    a_zero_point: AZeroPointOption = 0,
    b_unsigned: BUnsignedOption = False,
    b_zero_point: BZeroPointOption = 0,
    pattern: Annotated[str | None, typer.Option("--codes", help="mixed, corners or random; mixed.")] = None,
    seed: SeedOption = 0,
    layer: LayerOption = None,
    unit: Annotated[
        str | None, typer.Option("--unit", help="An integer unit: a formulation, or its name in the model.")
    ] = None,
    group: GroupOption = 0,
    data: DataOption = "digits",
    images: ImagesOption = 1,
    trace: Annotated[
        str | None, typer.Option("--trace", help="Output to trace, e.g. 0,3; the first that overflows by default.")
    ] = None,
    name: Annotated[str, typer.Option("--name", help="Prefix of the names in the C header.")] = "golden",
    as_json: JsonOption = False,
) -> None:
    out = Output(as_json)
    plain = {"--depth": depth, "--a-bits": a_bits, "--b-bits": b_bits, "--shift": shift, "--a-format": a_format,
             "--b-format": b_format, "--codes": pattern, "--a-unsigned": a_unsigned or None,
             "--a-zero-point": a_zero_point or None, "--b-unsigned": b_unsigned or None,
             "--b-zero-point": b_zero_point or None}  # fmt: skip
    if checked is not None:
        given = plain | {"FILE": calibrated, "-o": output, "--layer": layer, "--unit": unit, "--trace": trace}
        refuse(given, f"{checked} says what it holds")
        if unit_vectors.are_there(checked):
            unit_vectors.check(checked, out)
        else:
            _check(checked, out)
        return
    if output is None:
        raise ValueError("no directory to write was given: try -o vectors, or --check DIR to verify one")
    places.check_folder("-o", output)
    if unit is not None:
        lone = {} if calibrated is not None else {"--group": group or None}
        others = {"--layer": layer, "--trace": trace, "--cols": cols}
        refuse({**plain, **others, **lone}, f"unit {unit} says what it takes")
        unit_vectors.write(unit, output, out, golden.checked_name(name), calibrated, group, rows, data, images, seed)
        return
    chosen_profile = make_profile(profile)
    accumulator = make_accumulator(bits, overflow, order, alignment, zero_point, chosen_profile)
    element, name = _parse_element(trace), golden.checked_name(name)
    if calibrated is None and is_block(a_format, b_format):
        of_blocks = {"rows": rows or _ROWS, "depth": depth, "cols": cols or _ROWS, "seed": seed}
        no = {
            name: value
            for name, value in plain.items()
            if name not in ("--depth", "--a-format", "--b-format", "--codes")
        }
        made = block_formats(a_format, b_format, no | {"--layer": layer})
        refuse_plain_register(context)
        chosen_register = Float32() if register is None else parse_register(register)
        left, right, source = stimulus_of_blocks(*made, of_blocks, pattern)
        write_block_vectors(left, right, chosen_register, source, output, out)
        return
    one = None
    if calibrated is not None:
        refuse(plain, f"{calibrated} says what its layers are")
        one = CalibratedLayer.open(calibrated, layer)
        if one.has_blocks:
            refuse_plain_register(context)
            chosen_register = one.register if register is None else parse_register(register)
            left, right, source = one.blocks(group, data, images, seed)
            left, right = first_lines(left, rows), first_lines(right, cols)
            write_block_vectors(left, right, chosen_register, source, output, out)
            return
    if register is not None and one is not None:
        raise ValueError(f"--register is for blocks, and {layer} has none: leave it out, and give --bits or --overflow")
    refuse_block_options({"--register": register})
    if one is not None:
        a, b, source = one.codes(group, data, images, seed)
        if one.zero_point is not None and zero_point is None and chosen_profile is None:
            accumulator = replace(accumulator, zero_point=one.zero_point)
        a, b = a[..., :rows, :], b[..., :cols]
    else:
        refuse({"--layer": layer}, "no calibrated model was given")
        if depth is None:
            raise ValueError(
                "neither a calibrated model nor --depth was given: try ptqsim vectors --depth 64 -o vectors"
            )
        formats = (
            make_format(a_format, a_bits, shift, a_unsigned, a_zero_point),
            make_right_format(b_format, b_bits, a_bits, b_unsigned, b_zero_point),
        )
        chosen = golden.Pattern.of("mixed" if pattern is None else pattern)
        a, b = golden.stimulus(*formats, rows or _ROWS, depth, cols or _ROWS, chosen, seed)
        source = {"kind": "stimulus", "pattern": str(chosen), "seed": seed}
    if chosen_profile is not None:
        chosen_profile.check(a.format, b.format)
    with out.progress("reference", "output") as report:
        found = golden.compute(a, b, accumulator, element, progress=report)
    written = golden.write(found, output, source, name)
    _show(out, found, f"golden vectors in {output}")
    if found.overflow == (0, 0):
        out.note("No register overflows: a narrower one (--bits) would show what happens then.")
    out.result({"output": output, "files": [path.name for path in written], **_summary(found)})


def _check(directory: Path, out: Output) -> None:
    with out.progress("recomputing", "output") as report:
        result = golden.check(directory, progress=report)
    if result.blocks is not None:
        show_blocks(out, result.blocks, f"recomputed from {directory}")
    if result.vectors is not None:
        _show(out, result.vectors, f"recomputed from {directory}")
    show_findings(out, directory, result.findings, {} if result.vectors is None else _summary(result.vectors))


def _show(out: Output, found: golden.GoldenVectors, title: str) -> None:
    a, b, accumulator = found.a, found.b, found.accumulator
    out.table(
        ["what", "shape", "bits", "how"],
        [
            ["a", str(list(a.shape)), a.format.storage_bits, a.format.kind],
            ["b", str(list(b.shape)), b.format.storage_bits, b.format.kind],
            ["out", str(list(found.output_shape)), found.output_bits, _outcome(found)],
            ["trace", str(list(found.traced)), accumulator.bits, f"{len(found.trace)} steps"],
        ],
        title=title,
    )


def _outcome(found: golden.GoldenVectors) -> str:
    accumulator = found.accumulator
    how = f"{accumulator.overflow}, {accumulator.order.kind}, {accumulator.alignment}"
    if found.trapped is not None:
        element, step, register, bits = found.trapped
        return f"{how}: output {list(element)} traps at step {step} in the {bits}-bit {register} register"
    return how if found.overflow is None else f"{how}: {found.overflow[0]} outputs overflow, {found.overflow[1]} events"


def _summary(found: golden.GoldenVectors) -> dict[str, object]:
    return {
        "outputs": 0 if found.acc is None else found.acc.size,
        "overflow": None if found.overflow is None else {"outputs": found.overflow[0], "events": found.overflow[1]},
        "trap": None if found.trapped is None else found.trapped._asdict(),
        "trace": {"element": list(found.traced), "steps": len(found.trace)},
    }


def _parse_element(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(index) for index in text.split(","))
    except ValueError:
        raise ValueError(f"--trace {text!r} can't be read; legal is an index of an output: try --trace 0,3") from None
