"""Options that several commands share, and what they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import ptqsim as pq
from ptqsim.cli.framework import places
from ptqsim.datapath.order import parse_order

if TYPE_CHECKING:
    from torch import nn

    from ptqsim import ptq

ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        help="A bundled model (vit_digits, detr_digits), a fetched one (see ptqsim fetch), a timm model name, or "
        "detr_resnet_50.",
    ),
]
PretrainedOption = Annotated[
    bool, typer.Option("--pretrained", help="Fetch the pretrained weights of timm or transformers.")
]
CheckpointOption = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint", parser=places.path, help="Local safetensors file with the float weights of the model."
    ),
]
DataOption = Annotated[
    str,
    typer.Option(
        "--data",
        help="'digits' (bundled scenes), 'photos' (see ptqsim fetch), or a folder with one sub-folder of images per "
        "class; for a detector, a folder in COCO's layout.",
    ),
]
LimitOption = Annotated[int | None, typer.Option("--limit", min=1, help="Number of images; all by default.")]
BatchOption = Annotated[int, typer.Option("--batch", min=1, help="Images at a time.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Seed of everything random.")]
DeviceOption = Annotated[str, typer.Option("--device", help="Where floating point runs: cpu, cuda, cuda:1, ...")]
CalibratedArgument = Annotated[Path, typer.Argument(parser=places.path, help="What ptqsim calibrate -o wrote.")]
BitsOption = Annotated[int, typer.Option("--bits", help="Accumulator width P, 2 to 63.")]
OverflowOption = Annotated[str, typer.Option("--overflow", help="wrap, saturate or trap.")]
OrderOption = Annotated[
    str, typer.Option("--order", help="sequential, tree:LANES or split:TILE:INNER_BITS, e.g. split:64:20.")
]
AlignmentOption = Annotated[str, typer.Option("--alignment", help="product, operand or deferred.")]


def make_accumulator(bits: int, overflow: str, order: str, alignment: str) -> pq.Accumulator:
    """The accumulator that the datapath options describe."""
    return pq.Accumulator(bits=bits, overflow=overflow, order=parse_order(order), alignment=alignment)


def load_network(model: str, pretrained: bool, checkpoint: Path | None, device: str = "cpu") -> nn.Module:
    """The float network that the model options name."""
    from ptqsim import ptq

    return ptq.load_model(model, pretrained=pretrained, checkpoint=checkpoint).to(ptq.check_device(device))


def load_calibrated(path: Path, device: str = "cpu") -> ptq.QuantizedModel:
    """A calibrated model; its network is built from the name that the file holds."""
    from ptqsim import ptq

    return ptq.load_with_model(path).to(ptq.check_device(device))
