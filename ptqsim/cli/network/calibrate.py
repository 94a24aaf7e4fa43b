"""Quantize a vision transformer after training, from a few unlabeled images.

Writes packed codes, formats and scales to a safetensors file, which **evaluate**, **simulate**, **verify** and
**bounds** read. Options of the method are given as *-O name=value*, for instance *-O gradient=sampled* or
*-O softmax_twin=false*; *-O help* lists them.

Layers are kept as they are finished: after an interruption the same command goes on where it stopped.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from ptqsim.cli.framework import places
from ptqsim.cli.framework.errors import on_interrupt
from ptqsim.cli.framework.integer_only import (
    RESIDUAL_BITS,
    RESIDUAL_SCALE,
    GeluOption,
    IntegerOnlyOption,
    LayerNormOption,
    ResidualBitsOption,
    ResidualScaleOption,
    SoftmaxOption,
    check_integer_only,
    integer_only_options,
)
from ptqsim.cli.framework.options import (
    CheckpointOption,
    DataOption,
    DeviceOption,
    ImgSizeOption,
    InChansOption,
    ModelKwargsOption,
    ModelOption,
    NumClassesOption,
    PretrainedOption,
    SeedOption,
    TaskOption,
    load_network,
    model_options,
)
from ptqsim.cli.framework.output import JsonOption, Output
from ptqsim.cli.network.calibration_report import show
from ptqsim.cli.network.fit_options import FitAccumulatorOption, FitOption, fit_accumulator
from ptqsim.cli.network.given_options import given_folds, named_formats, named_options
from ptqsim.cli.network.mixed_precision import mixed_precision_of
from ptqsim.cli.network.presets import list_presets, preset_arguments


def calibrate(
    context: typer.Context,
    output: Annotated[
        Path | None, typer.Option(*places.OUT, parser=places.path, help="Safetensors file to write.")
    ] = None,
    model: ModelOption = "vit_digits",
    method: Annotated[
        str,
        typer.Option(
            "--method",
            help="percentile, easyquant, base_ptq, bit_split, liu2021, ptq4vit, reconstruct, or the preset "
            "ptq4vit_plus.",
        ),
    ] = "ptq4vit",
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            help="A published method with its formats, folds and scales, such as repq_vit or qdrop, in place of "
            "--method; help lists them.",
        ),
    ] = None,
    variant: Annotated[
        str, typer.Option("--variant", help="paper, or released: what PTQ4ViT's released code does instead.")
    ] = "paper",
    w_bits: Annotated[int, typer.Option("--w-bits", help="Width of weights, 2 to 16.")] = 8,
    a_bits: Annotated[int, typer.Option("--a-bits", help="Width of activations, 2 to 16.")] = 8,
    w_granularity: Annotated[
        str,
        typer.Option(
            "--w-granularity",
            help="tensor or channel: one scale for a weight, as in the papers, or one for each of its output channels.",
        ),
    ] = "tensor",
    a_symmetric: Annotated[
        bool, typer.Option("--a-symmetric/--a-asymmetric", help="Signed activations, or unsigned with zero points.")
    ] = True,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            help="KIND=NAME, as often as wanted: the format of softmax, gelu, activation or weight in place of the "
            "method's, such as gelu=e3m4; docs/calibration.md lists the names.",
        ),
    ] = None,
    fitted_to: FitAccumulatorOption = None,
    fit: FitOption = None,
    paradigm: Annotated[
        str | None,
        typer.Option(
            "--paradigm",
            help="parallel or sequential: what a layer sees while it is calibrated; the method's by default.",
        ),
    ] = None,
    bias_correction: Annotated[
        bool | None,
        typer.Option(
            "--bias-correction/--no-bias-correction",
            help="Take the expected error of each output off the bias; the method's choice by default.",
        ),
    ] = None,
    smoothing: Annotated[
        float | None,
        typer.Option(
            "--smoothing",
            help="Before anything is calibrated, divide the channels that LayerNorm puts out by this power of their "
            "magnitude, 0 to 1, and multiply the next weights by it; by default not.",
        ),
    ] = None,
    fold: Annotated[
        list[str] | None,
        typer.Option(
            "--fold",
            help="attention_balance, centering, norm_into_weights, rotation or learned_rotation, as often as wanted: "
            "what is moved between layers before anything is calibrated, in this order and before --smoothing.",
        ),
    ] = None,
    mixed_precision: Annotated[
        str | None,
        typer.Option(
            "--mixed-precision",
            help="nuclear_norm or hessian: choose the width of every MSA and MLP module by this sensitivity.",
        ),
    ] = None,
    model_size: Annotated[
        float | None,
        typer.Option(
            "--model-size", help="MB that the packed weights may take in mixed precision; by default as at --w-bits."
        ),
    ] = None,
    integer_only: IntegerOnlyOption = False,
    residual_bits: ResidualBitsOption = RESIDUAL_BITS,
    residual_scale: ResidualScaleOption = RESIDUAL_SCALE,
    softmax: SoftmaxOption = None,
    gelu: GeluOption = None,
    layer_norm: LayerNormOption = None,
    data: DataOption = "digits",
    images: Annotated[int, typer.Option("--images", min=1, help="Number of calibration images.")] = 32,
    seed: SeedOption = 0,
    pretrained: PretrainedOption = False,
    checkpoint: CheckpointOption = None,
    img_size: ImgSizeOption = None,
    num_classes: NumClassesOption = None,
    in_chans: InChansOption = None,
    model_kwargs: ModelKwargsOption = None,
    task: TaskOption = None,
    device: DeviceOption = "cpu",
    option: Annotated[
        list[str] | None, typer.Option("-O", "--option", help="Option of the method: name=value, or help.")
    ] = None,
    mixed_option: Annotated[
        list[str] | None,
        typer.Option("-M", "--mixed-option", help="Option of mixed precision, e.g. solver=milp or widths=[4,5,6]."),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            "--state",
            parser=places.path,
            help="Folder for finished layers, which are removed at the end; by default OUTPUT.state.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    from ptqsim import ptq

    out = Output(as_json)
    if option == ["help"]:
        _list_options(out, method, variant)
        return
    if preset == "help":
        list_presets(out)
        return
    if output is None:
        raise ValueError("no file was named to write to: name one with -o, for instance -o model.safetensors")
    places.check_file("-o", output, [checkpoint])
    given = {"--residual-bits": residual_bits != RESIDUAL_BITS, "--residual-scale": residual_scale != RESIDUAL_SCALE,
             "--softmax": softmax, "--gelu": gelu, "--layer-norm": layer_norm}  # fmt: skip
    check_integer_only(integer_only, given)
    units = integer_only_options(residual_bits, residual_scale, softmax, gelu, layer_norm)
    kept = ptq.LayerCache(state or output.with_name(output.name + ".state"))
    places.check_folder("--state", kept.folder)
    options = named_options("-O", option or [], "gradient=sampled")
    options |= {} if paradigm is None else {"paradigm": paradigm}
    options |= {} if bias_correction is None else {"bias_correction": bias_correction}
    mixed = mixed_precision_of(mixed_precision, model_size, named_options("-M", mixed_option or [], "solver=milp"))
    unit = fit_accumulator(fitted_to, fit)
    chosen: dict[str, Any] = {
        "method": method,
        "variant": variant,
        "w_granularity": w_granularity,
        "a_symmetric": a_symmetric,
        "formats": named_formats(formats or []),
        "folds": given_folds(fold or [], smoothing),
    }
    if preset is not None:
        chosen = preset_arguments(context, preset, options, w_bits, a_bits)
    else:
        chosen |= options
    made_with = model_options(img_size, num_classes, in_chans, model_kwargs, task)
    network = load_network(model, pretrained, checkpoint, device, made_with)
    source = ptq.load_data(data, network, split="calibration")
    content = source.fingerprint_of(ptq.sample_indices(source, images, seed))
    samples = ptq.sample_images(source, images, seed).to(device)
    interrupted = on_interrupt(
        lambda: f"{len(kept)} layers are kept in {kept.folder}: the same command goes on from them"
    )
    with interrupted, out.progress("calibrating", "layer") as report:
        quantized = ptq.calibrate(
            network,
            samples,
            w_bits=w_bits,
            a_bits=a_bits,
            seed=seed,
            fit_accumulator=unit,
            fit=fit or "compensate",
            mixed_precision=mixed,
            state=kept.folder,
            integer_only=integer_only,
            progress=report,
            **units,
            **chosen,
        )
        quantized.info |= {} if preset is None else {"preset": preset}
        quantized.info |= {"model": model, "data": source.name, "data_fingerprint": content}
        if made := ptq.options_of(network):
            quantized.info["model_options"] = made
        quantized.save(output)
    kept.remove()
    named = method if preset is None else preset
    title = f"{model}, {named}{'' if variant == 'paper' else ' (' + variant + ')'}, W{w_bits}A{a_bits}"
    show(out, quantized, title)
    out.note(f"written to {output} ({output.stat().st_size:,} bytes)")
    out.result(
        {
            "output": output,
            "info": quantized.info,
            "layers": {
                name: {
                    "kind": op.kind,
                    "a": [f.to_dict() for f in op.formats.a],
                    "b": [f.to_dict() for f in op.formats.b],
                    "report": op.report,
                }
                for name, op in quantized.layers.items()
                if op.formats is not None
            },
        }
    )


def _list_options(out: Output, method: str, variant: str) -> None:
    from ptqsim.ptq.calibration.methods import make_method

    made = make_method(method, {}, variant)
    defaults = {field.name: getattr(made, field.name) for field in fields(made)}  # type: ignore[arg-type]
    out.table(
        ["option", "default"], [[name, str(value)] for name, value in defaults.items()], title=f"Options of {method}"
    )
    out.result(defaults)
