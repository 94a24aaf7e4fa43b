"""Options that several commands share, and what they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import ptqsim as pq
from ptqsim.cli.framework import places
from ptqsim.cli.framework.pairs import parse_pairs, parse_size
from ptqsim.common.validation import MAX_SEED
from ptqsim.datapath.blocks.registers import parse_register
from ptqsim.datapath.order import parse_order

if TYPE_CHECKING:
    from torch import nn

    from ptqsim import ptq
    from ptqsim.integer_only import Plan

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
ImgSizeOption = Annotated[
    str | None,
    typer.Option(
        "--img-size",
        metavar="N|HxW",
        help="Side of the images, or height and width; by default what the checkpoint is for. For another size than "
        "that position embeddings are resized.",
    ),
]
NumClassesOption = Annotated[
    int | None,
    typer.Option("--num-classes", min=0, help="Classes of the head, 0 for none; by default the checkpoint's."),
]
InChansOption = Annotated[
    int | None, typer.Option("--in-chans", min=1, help="Channels of the images; by default the checkpoint's.")
]
ModelKwargsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--model-kwargs", metavar="KEY=VALUE ...", help="Other arguments of timm's model, e.g. global_pool=avg."
    ),
]
TaskOption = Annotated[
    str | None,
    typer.Option("--task", help="classification or embedding; by default embedding for a model without a head."),
]
DataOption = Annotated[
    str,
    typer.Option(
        "--data",
        help="'digits' (bundled scenes), 'photos' (see ptqsim fetch), or a folder with one sub-folder of images per "
        "class; for a detector, a folder in COCO's layout; for embeddings, any folder of images.",
    ),
]
LimitOption = Annotated[int | None, typer.Option("--limit", min=1, help="Number of images; all by default.")]
BatchOption = Annotated[int, typer.Option("--batch", min=1, help="Images at a time.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, max=MAX_SEED, help="Seed of everything random.")]
DeviceOption = Annotated[str, typer.Option("--device", help="Where floating point runs: cpu, cuda, cuda:1, ...")]
CalibratedArgument = Annotated[Path, typer.Argument(parser=places.path, help="What ptqsim calibrate -o wrote.")]
BitsOption = Annotated[int, typer.Option("--bits", help="Accumulator width P, 2 to 63.")]
OverflowOption = Annotated[str, typer.Option("--overflow", help="wrap, saturate or trap.")]
OrderOption = Annotated[
    str,
    typer.Option(
        "--order",
        help="sequential, tree:LANES, split:TILE:INNER_BITS (split:64:20) or split:TILE:INNER_BITS:INNER_OVERFLOW.",
    ),
]
AlignmentOption = Annotated[str, typer.Option("--alignment", help="product, operand or deferred.")]
ZeroPointOption = Annotated[
    str | None,
    typer.Option(
        "--zero-point",
        help="Where zero points are subtracted: operand, or correction of the accumulator; by default as calibration "
        "chose, or operand.",
    ),
]
ProfileOption = Annotated[
    str | None,
    typer.Option("--profile", help="Arithmetic of a processor or library in place of these; see ptqsim profiles."),
]
RegisterOption = Annotated[
    str | None,
    typer.Option(
        "--register",
        help="Register of blocks: float32, fixed:BITS:WEIGHT[:OVERFLOW[:ROUNDING]] or aligned:FRACTION_BITS[:BLOCKS]; "
        "float32 by default.",
    ),
]
AUnsignedOption = Annotated[bool, typer.Option("--a-unsigned", help="Left codes are plain binary (uniform).")]
AZeroPointOption = Annotated[
    int, typer.Option("--a-zero-point", help="The integer whose left code stands for 0 (uniform).")
]
BUnsignedOption = Annotated[bool, typer.Option("--b-unsigned", help="Right codes are plain binary.")]
BZeroPointOption = Annotated[int, typer.Option("--b-zero-point", help="The integer whose right code stands for 0.")]


def make_accumulator(
    bits: int,
    overflow: str,
    order: str,
    alignment: str,
    zero_point: str | None = None,
    profile: pq.profiles.Profile | None = None,
) -> pq.Accumulator:
    """The accumulator that the datapath options describe, or that of a profile in place of these.

    Raises
    ------
    ValueError
        If one cannot be made, or another than the default is given beside a profile.
    """
    made = pq.Accumulator(bits, overflow, parse_order(order), alignment, zero_point or "operand")
    if profile is None:
        return made
    if made != pq.Accumulator():
        raise ValueError(
            f"{profile.name} says what its accumulator is: leave out --bits, --overflow, --order, --alignment and "
            "--zero-point"
        )
    return profile.accumulator


def give_register(quantized: ptq.QuantizedModel, text: str | None) -> None:
    """Let products of blocks run in the register that ``--register`` describes, if it was given.

    Raises
    ------
    ValueError
        If it cannot be read, or no layer has blocks.
    """
    if text is None:
        return
    register = parse_register(text)
    if not any(layer.has_blocks for layer in quantized.layers.values()):
        raise ValueError(
            f"--register {text} is for products of blocks, and no layer of the model has any: leave it out, and "
            "describe the accumulator by --bits and --overflow"
        )
    quantized.register = register


def make_profile(name: str | None) -> pq.profiles.Profile | None:
    """The profile of that name, if one is given."""
    return None if name is None else pq.profiles.named(name)


def model_options(
    img_size: str | None,
    num_classes: int | None,
    in_chans: int | None,
    model_kwargs: list[str] | None,
    task: str | None = None,
) -> dict[str, Any]:
    """The options that say how a model is made, as keyword arguments of :func:`ptqsim.ptq.load_model`."""
    given = {
        "img_size": None if img_size is None else parse_size(img_size),
        "num_classes": num_classes,
        "in_chans": in_chans,
        "model_kwargs": parse_pairs("--model-kwargs", model_kwargs or []) or None,
        "task": task,
    }
    return {name: value for name, value in given.items() if value is not None}


def load_network(
    model: str,
    pretrained: bool,
    checkpoint: Path | None,
    device: str = "cpu",
    options: Mapping[str, Any] | None = None,
) -> nn.Module:
    """The float network that the model options name."""
    from ptqsim import ptq

    network = ptq.load_model(model, pretrained=pretrained, checkpoint=checkpoint, **(options or {}))
    return network.to(ptq.check_device(device))


def load_calibrated(
    path: Path, device: str = "cpu", checkpoint: Path | None = None, pretrained: bool = False
) -> ptq.QuantizedModel:
    """A calibrated model; its network is built from the name that the file holds, with the float weights if named."""
    from ptqsim import ptq

    loaded = ptq.load_with_model(path, checkpoint=checkpoint, pretrained=pretrained)
    return loaded.to(ptq.check_device(device))


def plan_of(quantized: ptq.QuantizedModel, path: Path) -> Plan:
    """The integer-only network of a calibrated model.

    Parameters
    ----------
    quantized : QuantizedModel
    path : Path
        File that it was read from.

    Raises
    ------
    ValueError
        If it was calibrated without one.
    """
    if quantized.plan is None:
        blocks = any(layer.has_blocks for layer in quantized.layers.values())
        formats = ", in formats that are not of blocks, which no integer-only network has" if blocks else ""
        raise ValueError(
            f"{path} has no integer-only network: calibrate it with ptqsim calibrate --integer-only{formats}"
        )
    return quantized.plan
