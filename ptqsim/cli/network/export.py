"""Write a calibrated model as an ONNX file with QuantizeLinear and DequantizeLinear, or as a program in C99.

*--c* writes the integer-only network of a model that was calibrated with *--integer-only* as self-contained C: from
pixels to logits in integers, without a library.

In an ONNX file, operands in formats that QuantizeLinear can't say (twin formats) are named, and written out in standard
operators or left unquantized. With *--mode integer_only* the file is the integer-only network in integer operators,
from pixels to logits. With *--check* ONNX Runtime runs the file on images, and every layer is compared with
fake_quant mode, or every integer with integer-only mode; exit status 1 where a value is another one than there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ptqsim.cli.framework import places
from ptqsim.cli.framework.options import CalibratedArgument, DataOption, SeedOption, load_calibrated, plan_of
from ptqsim.cli.framework.output import JsonOption, Output
from ptqsim.cli.network.layer_codes import refuse
from ptqsim.errors import unknown_name

if TYPE_CHECKING:
    from ptqsim import ptq
    from ptqsim.integer_only import Plan
    from ptqsim.ptq.onnx_export.operands import OperandExport

_MODES: Final = ("fake_quant", "integer_only")


def export(
    calibrated: CalibratedArgument,
    onnx: Annotated[
        Path | None, typer.Option("--onnx", *places.OUT, parser=places.path, help="ONNX file to write.")
    ] = None,
    c: Annotated[
        Path | None, typer.Option("--c", parser=places.path, help="Folder to write the program in C to.")
    ] = None,
    mode: Annotated[
        str, typer.Option("--mode", help="What the ONNX file says: fake_quant, or integer_only.")
    ] = "fake_quant",
    other_formats: Annotated[
        str | None,
        typer.Option(
            "--other-formats",
            help="explicit: formats that QuantizeLinear can't say are written out in standard operators; "
            "float: what has one is left unquantized. explicit by default.",
        ),
    ] = None,
    check: Annotated[
        int | None, typer.Option("--check", min=1, help="Images to compare ONNX Runtime with that mode on.")
    ] = None,
    data: DataOption = "digits",
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    from ptqsim import ptq

    out = Output(as_json)
    if c is not None:
        if onnx is not None or check is not None:
            raise ValueError("--c was given together with an option of an ONNX file: leave one of them out")
        places.check_folder("--c", c)
        _write_c(out, calibrated, c)
        return
    if onnx is None:
        raise ValueError(f"no file was named to write to: name one, for instance --onnx {calibrated.stem}.onnx")
    places.check_file("--onnx", onnx, [calibrated])
    if mode not in _MODES:
        raise unknown_name("mode of an ONNX file", mode, _MODES)
    quantized = load_calibrated(calibrated)
    if mode == "integer_only":
        refuse({"--other-formats": other_formats}, "an integer-only network has codes of every format")
        _write_integers(out, quantized, plan_of(quantized, calibrated), onnx, check, data, seed)
        return
    source = None if check is None else ptq.load_data(data, quantized.model)
    report = ptq.export_onnx(quantized, onnx, other_formats=other_formats or "explicit")
    out.table(
        ["layer", "kind", "A", "B"],
        [[name, layer.kind, _said(layer.a), _said(layer.b)] for name, layer in report.layers.items()],
        title=f"{onnx}, opset {report.opset}",
    )
    if others := report.not_q_dq:
        out.table(["not by QuantizeLinear", "format, what became of it and why"], [[*item] for item in others.items()])
    out.note(f"written to {onnx} ({report.bytes:,} bytes)")
    result: dict[str, object] = {"export": report, "not_q_dq": others, "in_float": report.in_float}
    if check is None or source is None:
        out.result(result)
        return
    images = ptq.sample_images(source, min(check, len(source)), seed)
    with out.progress("comparing", "image") as progress:
        found = ptq.check_onnx(quantized, onnx, images, progress=progress)
    _show(out, found)
    out.result(result | {"check": found, "passed": found.passed})
    if not found.passed:
        raise typer.Exit(1)


def _write_integers(
    out: Output, quantized: ptq.QuantizedModel, plan: Plan, path: Path, check: int | None, data: str, seed: int
) -> None:
    from ptqsim import ptq

    source = None if check is None else ptq.load_data(data, quantized.model)
    report = ptq.export_integer_onnx(quantized, path)
    out.table(
        ["operator", "nodes"], [[*item] for item in report.operators.items()], title=f"{path}, opset {report.opset}"
    )
    wide = [name for name, operator in report.products.items() if operator == "MatMul"]
    out.note(f"{len(report.products)} products, {len(wide)} of them on more than bytes; {report.bytes:,} bytes written")
    result: dict[str, object] = {"export": report}
    if check is None or source is None:
        out.result(result)
        return
    samples = ptq.sample_images(source, min(check, len(source)), seed)
    with out.progress("comparing", "image") as progress:
        pixels = ptq.as_pixels(samples, plan.mean, plan.std)
        found = ptq.check_integer_onnx(quantized, path, pixels, progress=progress)
    if wrong := {name: count for name, count in found.edges.items() if count}:
        out.table(["edge", "integers that differ"], [[*item] for item in wrong.items()])
    out.note(
        f"ONNX Runtime {found.runtime}, {found.images} images: {found.values:,} integers of {len(found.edges)} edges "
        f"compared, {sum(found.edges.values()):,} differ; {found.logits:,} logits with its optimizer on, "
        f"{found.optimized:,} differ"
    )
    out.result(result | {"check": found, "passed": found.passed})
    if not found.passed:
        raise typer.Exit(1)


def _write_c(out: Output, calibrated: Path, folder: Path) -> None:
    from ptqsim.export import write_c_model

    quantized = load_calibrated(calibrated)
    model = write_c_model(plan_of(quantized, calibrated), folder, dict(quantized.accumulators))
    sizes = {name: len(text.encode()) for name, text in model.files.items()}
    out.table(["file", "bytes"], [[name, size] for name, size in sizes.items()], title=str(folder))
    out.note(f"build it with make -C {folder}; it needs {8 * model.arena:,} bytes for what lies between steps")
    out.result({"folder": folder, "files": sizes, "arena": model.arena})


def _said(operand: OperandExport) -> str:
    if operand.how != "q_dq":
        return operand.how
    clip = "" if operand.clip is None else f", clip {operand.clip[0]}..{operand.clip[1]}"
    return f"{operand.storage}{clip}, {operand.scales} scale{'s' if operand.scales > 1 else ''}"


def _show(out: Output, check: ptq.OnnxCheck) -> None:
    out.table(
        ["layer", "values", "mismatches", "ties", "same input", "moved", "largest", "relative"],
        [
            [
                name,
                layer.values,
                layer.mismatches,
                layer.ties,
                f"{layer.same_input:.1e}" if layer.quantized else f"{layer.same_input:.1e} (in float)",
                layer.moved,
                f"{layer.largest:.3g}",
                f"{layer.relative:.1e}",
            ]
            for name, layer in check.layers.items()
        ],
        title=f"ONNX Runtime {check.runtime} against fake_quant mode, {check.images} images",
    )
    out.table(
        ["logits", "largest difference", "other predictions"],
        [[way, f"{found.largest:.3g}", found.predictions] for way, found in check.logits.items()],
    )
    values, wrong = (sum(getattr(layer, key) for layer in check.layers.values()) for key in ("values", "mismatches"))
    out.note(f"{values:,} operand values compared from the same input, {wrong:,} are rounded differently")
