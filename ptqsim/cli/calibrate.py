"""Quantize a vision transformer after training, from a few unlabeled images.

Writes packed codes, formats and scales to a safetensors file, which **evaluate**, **simulate**, **verify** and
**bounds** read. Options of the method are given as *-O name=value*, for instance *-O gradient=sampled* or
*-O softmax_twin=false*.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ptqsim.cli.errors import on_interrupt
from ptqsim.cli.options import (
    CheckpointOption,
    DataOption,
    DeviceOption,
    ModelOption,
    PretrainedOption,
    SeedOption,
    load_network,
)
from ptqsim.cli.output import JsonOption, Output


def calibrate(
    output: Annotated[Path, typer.Option("-o", "--output", help="Safetensors file to write.")],
    model: ModelOption = "vit_digits",
    method: Annotated[str, typer.Option("--method", help="ptq4vit or base_ptq.")] = "ptq4vit",
    w_bits: Annotated[int, typer.Option("--w-bits", help="Width of weights, 2 to 16.")] = 8,
    a_bits: Annotated[int, typer.Option("--a-bits", help="Width of activations, 2 to 16.")] = 8,
    data: DataOption = "digits",
    images: Annotated[int, typer.Option("--images", min=1, help="Number of calibration images.")] = 32,
    seed: SeedOption = 0,
    pretrained: PretrainedOption = False,
    checkpoint: CheckpointOption = None,
    device: DeviceOption = "cpu",
    option: Annotated[
        list[str] | None, typer.Option("-O", "--option", help="Option of the method: name=value.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    from ptqsim import ptq

    out = Output(as_json)
    options = dict(_parse(text) for text in option or [])
    network = load_network(model, pretrained, checkpoint, device)
    source = ptq.load_data(data, network, split="calibration")
    samples = ptq.sample_images(source, images, seed).to(device)
    with on_interrupt(lambda: "nothing was written"), out.progress("calibrating", "layer") as report:
        quantized = ptq.calibrate(
            network, samples, method=method, w_bits=w_bits, a_bits=a_bits, seed=seed, progress=report, **options
        )
    quantized.info |= {"model": model, "data": source.name, "data_fingerprint": source.fingerprint}
    quantized.save(output)
    out.table(
        ["layer", "kind", "formats of A", "formats of B", "score"],
        [
            [name, op.kind, ptq.describe(op.formats.a), ptq.describe(op.formats.b), f"{op.report['score']:.4g}"]
            for name, op in quantized.layers.items()
            if op.formats is not None
        ],
        title=f"{model}, {method}, W{w_bits}A{a_bits}",
    )
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


def _parse(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise ValueError(f"method option {text!r} can't be read; legal is name=value: try -O gradient=sampled")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value
