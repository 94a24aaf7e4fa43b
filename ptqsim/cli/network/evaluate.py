"""Accuracy of a calibrated model, or of a float one, on images; mean average precision of a detector.

With a calibrated file: in the mode given by *--mode*, beside the float network on the same images: the mean divergence
KL(float || quantized) with its standard error, and the percent of images with the same prediction. Of a feature
extractor, the cosine to the float network's embeddings, and the agreement of nearest neighbors. The float network's
weights are those of the package or of the cache, or are named by *--checkpoint* or *--pretrained*, as the calibrated
file has codes in their place. Without a file: of the float model that *--model* names.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptqsim.cli.framework import places
from ptqsim.cli.framework.float_outputs import float_outputs
from ptqsim.cli.framework.metrics import metric_cells
from ptqsim.cli.framework.options import (
    BatchOption,
    CheckpointOption,
    DataOption,
    DeviceOption,
    ImgSizeOption,
    InChansOption,
    LimitOption,
    ModelKwargsOption,
    ModelOption,
    NumClassesOption,
    PretrainedOption,
    TaskOption,
    load_calibrated,
    load_network,
    model_options,
    plan_of,
)
from ptqsim.cli.framework.output import JsonOption, Output

if TYPE_CHECKING:
    from torch import nn


def evaluate(
    calibrated: Annotated[
        Path | None, typer.Argument(parser=places.path, help="What ptqsim calibrate -o wrote.")
    ] = None,
    mode: Annotated[str, typer.Option("--mode", help="float, fake_quant, integer or integer_only.")] = "integer",
    data: DataOption = "digits",
    limit: LimitOption = None,
    batch: BatchOption = 100,
    model: ModelOption = "vit_digits",
    pretrained: PretrainedOption = False,
    checkpoint: CheckpointOption = None,
    img_size: ImgSizeOption = None,
    num_classes: NumClassesOption = None,
    in_chans: InChansOption = None,
    model_kwargs: ModelKwargsOption = None,
    task: TaskOption = None,
    device: DeviceOption = "cpu",
    compare: Annotated[
        bool, typer.Option(help="Run the float network too, and measure the divergence from it.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    from ptqsim import ptq

    out = Output(as_json)
    subject: nn.Module | ptq.QuantizedModel
    made_with = model_options(img_size, num_classes, in_chans, model_kwargs, task)
    if calibrated is None:
        network = load_network(model, pretrained, checkpoint, device, made_with)
        subject, name, mode = network, model, "float"
        source = ptq.load_data(data, network)
    else:
        if made_with:
            option = next(iter(made_with)).replace("_", "-")
            raise ValueError(f"{calibrated} says itself how its model is made: leave --{option} out")
        quantized = load_calibrated(calibrated, device, checkpoint, pretrained)
        if mode == "integer_only":
            plan_of(quantized, calibrated)
        quantized.mode = mode
        subject, name = quantized, str(calibrated)
        source = ptq.load_data(data, quantized.model)
    with out.progress("evaluating", "image") as report:
        result = ptq.measure(subject, source, limit=limit, batch=batch, progress=report)
    metrics = dict(result.metrics)
    if compare and isinstance(subject, ptq.QuantizedModel) and subject.mode != "float":
        exact = float_outputs(subject, result, source, limit, batch, out)
        metrics |= {} if exact is None else ptq.difference(result, exact).metrics
    headings, cells = metric_cells(metrics)
    out.table(["model", "mode", "images", *headings], [[name, mode, result.images, *cells]])
    out.result(
        {
            "model": name,
            "mode": mode,
            "data": source.name,
            "images": result.images,
            **metrics,
        }
    )
