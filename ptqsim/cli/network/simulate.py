"""Run a calibrated model on a simulated datapath and count what overflows.

Every quantized operation runs in integers on the accumulator that *--bits*, *--overflow*, *--order* and *--alignment*
describe, or in the arithmetic of a *--profile* (see *ptqsim profiles*); *--layer blocks.0.mlp.fc2=20* gives one layer
another width. The result is compared with exact accumulation,
and both with the float network: the mean divergence KL(float || quantized) and its standard error. Weights that are
neither in the package nor in the cache are named by *--checkpoint* or *--pretrained*.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Annotated

import typer

import ptqsim as pq
from ptqsim.cli.framework.float_outputs import float_outputs
from ptqsim.cli.framework.metrics import metric_cells
from ptqsim.cli.framework.options import (
    AlignmentOption,
    BatchOption,
    BitsOption,
    CalibratedArgument,
    CheckpointOption,
    DataOption,
    OrderOption,
    OverflowOption,
    PretrainedOption,
    ProfileOption,
    RegisterOption,
    ZeroPointOption,
    give_register,
    load_calibrated,
    make_accumulator,
    make_profile,
    plan_of,
)
from ptqsim.cli.framework.output import JsonOption, Output
from ptqsim.cli.network.fit_options import AttentionBitsOption, give_accumulators

if TYPE_CHECKING:
    from ptqsim import ptq
    from ptqsim.ptq.network.products.operations import MatmulOperation


def simulate(
    calibrated: CalibratedArgument,
    bits: BitsOption = 32,
    attention_bits: AttentionBitsOption = None,
    overflow: OverflowOption = "wrap",
    order: OrderOption = "sequential",
    alignment: AlignmentOption = "product",
    zero_point: ZeroPointOption = None,
    register: RegisterOption = None,
    profile: ProfileOption = None,
    mode: Annotated[str, typer.Option("--mode", help="integer, or integer_only.")] = "integer",
    layer: Annotated[list[str] | None, typer.Option("--layer", help="Width of one layer, NAME=BITS.")] = None,
    data: DataOption = "digits",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Number of images.")] = 100,
    batch: BatchOption = 50,
    pretrained: PretrainedOption = False,
    checkpoint: CheckpointOption = None,
    as_json: JsonOption = False,
) -> None:
    from ptqsim import ptq

    out = Output(as_json)
    chosen = make_profile(profile)
    accumulator = make_accumulator(bits, overflow, order, alignment, zero_point, chosen)
    bits, overflow, order = accumulator.bits, str(accumulator.overflow), str(accumulator.order)
    alignment = str(accumulator.alignment)
    quantized = load_calibrated(calibrated, checkpoint=checkpoint, pretrained=pretrained)
    if chosen is not None:
        _check_layers(quantized, chosen)
    source = ptq.load_data(data, quantized.model)
    if mode not in ("integer", "integer_only"):
        raise ValueError(f"--mode is {mode!r}; legal is integer or integer_only, whose products have accumulators")
    if mode == "integer_only":
        plan_of(quantized, calibrated)
    quantized.mode = mode
    quantized.accumulator = pq.Accumulator(bits=63)
    with out.progress("exact accumulation", "image") as report:
        exact = ptq.measure(quantized, source, limit=limit, batch=batch, progress=report)
    as_calibrated = zero_point is None and chosen is None
    give_accumulators(quantized, accumulator, attention_bits, as_calibrated)
    give_register(quantized, register)
    for text in layer or []:
        name, _, width = text.partition("=")
        if not (width.isascii() and width.isdigit()):  # isdigit alone takes superscripts
            raise ValueError(
                f"--layer {text!r} can't be read; legal is NAME=BITS: try {next(iter(quantized.layers))}=20"
            )
        if quantized.layer(name).has_blocks:
            raise ValueError(
                f"--layer {text} names a product of blocks, whose register --register describes: leave it out"
            )
        quantized.accumulators[name] = replace(quantized.accumulators[name], bits=int(width))
    quantized.statistics = True
    with out.progress(_label(quantized, accumulator), "image") as report:
        result = ptq.measure(quantized, source, limit=limit, batch=batch, progress=report)
    gap = ptq.difference(result, exact)
    rows = {name: op.integer for name, op in quantized.layers.items()}
    out.table(
        ["layer", "P", "outputs", "outputs that overflow", "events", "bits needed"],
        [
            [
                name,
                _width(quantized.layers[name]),
                unit.overflow.computed,
                unit.overflow.outputs,
                unit.overflow.events,
                unit.overflow.bits_needed or None,
            ]
            for name, unit in rows.items()
        ],
        title=f"{overflow}, {order}, {alignment} on {result.images} images",
    )
    if any(layer.has_blocks for layer in quantized.layers.values()):
        out.note("In the row of exact accumulation products of blocks are summed in float32.")
    reference = float_outputs(quantized, exact, source, limit, batch, out)
    exact_metrics, metrics = (
        found.metrics | ({} if reference is None else ptq.difference(found, reference).metrics)
        for found in (exact, result)
    )
    headings, exact_cells = metric_cells(exact_metrics)
    out.table(
        ["accumulation", *headings, "predictions that differ", "logits that differ"],
        [
            ["exact", *exact_cells, None, None],
            [
                _label(quantized, accumulator),
                *metric_cells(metrics)[1],
                gap.predictions,
                gap.logits,
            ],
        ],
    )
    out.result(
        {
            "profile": profile,
            "mode": mode,
            "accumulator": {
                "bits": bits,
                "overflow": overflow,
                "order": order,
                "alignment": alignment,
                "zero_point": None if as_calibrated and quantized.datapaths else str(accumulator.zero_point),
            },
            "images": result.images,
            "exact": exact_metrics,
            "simulated": metrics,
            "difference": gap,
            "layers": {
                name: {
                    "bits": _width(quantized.layers[name]),
                    "zero_point": str(unit.accumulator.zero_point),
                    "overflow": unit.overflow,
                }
                for name, unit in rows.items()
            },
        }
    )


def _width(layer: MatmulOperation) -> int | str:
    """Width of a layer's accumulator, or its register of blocks."""
    return str(layer.integer.register) if layer.has_blocks else layer.integer.accumulator.bits


def _check_layers(quantized: ptq.QuantizedModel, profile: pq.profiles.Profile) -> None:
    from ptqsim.ptq.network.products.blocked import plain_formats

    for name, layer in quantized.layers.items():
        assert layer.formats is not None
        try:
            for a, b in product(plain_formats(layer.formats.a), plain_formats(layer.formats.b)):
                profile.check(a, b)
        except ValueError as error:
            raise ValueError(f"layer {name}: {error}") from None


def _label(quantized: ptq.QuantizedModel, accumulator: pq.Accumulator) -> str:
    """Width and overflow mode, and the register of products of blocks where there are any."""
    registers = {str(op.integer.register) for op in quantized.layers.values() if op.has_blocks}
    plain = not all(op.has_blocks for op in quantized.layers.values())
    return ", ".join([*([f"{accumulator.bits}-bit {accumulator.overflow}"] if plain else []), *sorted(registers)])
