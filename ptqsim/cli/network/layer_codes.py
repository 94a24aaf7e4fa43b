"""The codes of one layer of a calibrated file, and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

import ptqsim as pq
from ptqsim.cli.framework import places
from ptqsim.cli.framework.options import load_calibrated
from ptqsim.common import fingerprint

LayerArgument = Annotated[Path | None, typer.Argument(parser=places.path, help="What ptqsim calibrate -o wrote.")]
LayerOption = Annotated[str | None, typer.Option("--layer", help="Layer of the calibrated model.")]
GroupOption = Annotated[int, typer.Option("--group", min=0, help="Its head, or part of a qkv layer.")]
ImagesOption = Annotated[int, typer.Option("--images", min=1, help="Images to run, for a layer.")]


def codes_of_layer(
    calibrated: Path, layer: str | None, group: int, data: str, images: int, seed: int
) -> tuple[pq.QuantizedArray, pq.QuantizedArray, Mapping[str, Any], pq.ZeroPoint | None]:
    """Operands [..., M, K] and [..., K, N] of a layer on some images, their origin as plain data, and its datapath.

    That is the place where zero points are subtracted; None where the layer has none.
    """
    from ptqsim import ptq
    from ptqsim.ptq.evaluation.record import record_codes
    from ptqsim.ptq.network.products.blocked import plain_codes

    quantized = load_calibrated(calibrated)
    if layer is None:
        raise ValueError(f"no layer was given: try --layer {next(iter(quantized.layers))}")
    dataset = ptq.load_data(data, quantized.model)
    a, b = record_codes(quantized, ptq.sample_images(dataset, images, seed), layer, group)
    source = {
        "kind": "layer",
        "calibrated": calibrated.name,
        "calibrated_sha256": fingerprint.file(calibrated),
        "layer": layer,
        "group": group,
        "data": dataset.name,
        "data_fingerprint": dataset.fingerprint_of(ptq.sample_indices(dataset, images, seed)),
        "images": images,
        "seed": seed,
    }
    plain_a, plain_b = plain_codes((a, b))
    return plain_a, plain_b, source, quantized.datapaths.get(layer)


def refuse(options: Mapping[str, object], why: str) -> None:
    """A ValueError if any of the options, by name, was given."""
    given = [option for option, value in options.items() if value is not None]
    if given:
        raise ValueError(f"{why}: leave {', '.join(given)} out")
