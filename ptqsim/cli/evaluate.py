"""Accuracy of a calibrated model, or of a float one, on labeled images; mean average precision of a detector.

With a calibrated file: in the mode given by *--mode*, beside the float network on the same images: the mean divergence
KL(float || quantized) with its standard error, and the percent of images with the same prediction. Without one: of the
float model that *--model* names.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptqsim.cli.framework import places
from ptqsim.cli.framework.metrics import metric_cells
from ptqsim.cli.framework.options import (
    BatchOption,
    CheckpointOption,
    DataOption,
    DeviceOption,
    LimitOption,
    ModelOption,
    PretrainedOption,
    load_calibrated,
    load_network,
)
from ptqsim.cli.framework.output import JsonOption, Output

if TYPE_CHECKING:
    from torch import nn


def evaluate(
    calibrated: Annotated[
        Path | None, typer.Argument(parser=places.path, help="What ptqsim calibrate -o wrote.")
    ] = None,
    mode: Annotated[str, typer.Option("--mode", help="float, fake_quant or integer.")] = "integer",
    data: DataOption = "digits",
    limit: LimitOption = None,
    batch: BatchOption = 100,
    model: ModelOption = "vit_digits",
    pretrained: PretrainedOption = False,
    checkpoint: CheckpointOption = None,
    device: DeviceOption = "cpu",
    compare: Annotated[
        bool, typer.Option(help="Run the float network too, and measure the divergence from it.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    from ptqsim import ptq

    out = Output(as_json)
    subject: nn.Module | ptq.QuantizedModel
    if calibrated is None:
        network = load_network(model, pretrained, checkpoint, device)
        subject, name, mode = network, model, "float"
        source = ptq.load_data(data, network)
    else:
        quantized = load_calibrated(calibrated, device)
        quantized.mode = mode
        subject, name = quantized, str(calibrated)
        source = ptq.load_data(data, quantized.model)
    with out.progress("evaluating", "image") as report:
        result = ptq.measure(subject, source, limit=limit, batch=batch, progress=report)
    metrics = dict(result.metrics)
    if compare and isinstance(subject, ptq.QuantizedModel) and subject.mode != "float":
        subject.mode = "float"
        with out.progress("evaluating the float network", "image") as report:
            exact = ptq.measure(subject, source, limit=limit, batch=batch, progress=report)
        metrics |= ptq.difference(result, exact).metrics
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
