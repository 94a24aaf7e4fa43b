"""An encoder block in hardware: its options, and the commands for it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import numpy as np
import typer
from numpy.typing import NDArray

import ptqsim as pq
from ptqsim import rtl
from ptqsim.cli.framework import places
from ptqsim.cli.framework.options import load_calibrated, plan_of
from ptqsim.cli.framework.output import Output
from ptqsim.cli.framework.typed import typed
from ptqsim.cli.network.layer_codes import refuse
from ptqsim.cli.rtl.integer_unit import show_design
from ptqsim.common import files
from ptqsim.rtl.encoder.picture import block_svg

if TYPE_CHECKING:
    from ptqsim import ptq

PICTURE: Final = "datapath.svg"
BLOCK, NETWORK = "block", "network"
ENCODER_OPTIONS: Final = (
    "what", "calibrated", "model", "block", "columns", "bits", "overflow", "name", "output", "data", "images",
    "engine", "seed", "as_json",
)  # fmt: skip
"""Parameters that an encoder block has."""

ModelArgument = Annotated[
    Path | None, typer.Argument(parser=places.path, help="Of block: what ptqsim calibrate --integer-only -o wrote.")
]
BlockOption = Annotated[int | None, typer.Option("--block", min=0, help="Number of the encoder block; 0.")]


def is_encoder_block(named: str | Path | None, model: Path | None) -> bool:
    """True if the arguments name a block or a network; an error if the first of two is something else."""
    known = str(named) in (BLOCK, NETWORK)
    if model is not None and not known:
        raise ValueError(
            f"two names were given, {named} and {model}; a second one is the file of a block: try block FILE"
        )
    return known and (model is not None or not Path(str(named)).exists())


def block_of(
    context: typer.Context,
    named: object,
    model: Path | None,
    block: int | None,
    columns: int | None,
    bits: int,
    overflow: str,
    name: str = "ptqsim",
) -> tuple[rtl.EncoderBlock, ptq.QuantizedModel]:
    """The block that the options describe, or all of them, and the network that it is of."""
    if given := typed(context, _others(context)):
        raise ValueError(
            f"an encoder block was named, and {', '.join(given)} do not belong to it; legal are --block, --columns, "
            "--bits and --overflow, and those that say what to do with it"
        )
    if model is None:
        raise ValueError(
            "no network was named: make one with ptqsim calibrate --integer-only -o m.safetensors, and name it"
        )
    quantized = load_calibrated(model)
    plan = plan_of(quantized, model)
    if str(named) == NETWORK:
        refuse({"--block": block}, "a whole network was named")
        number, products = None, ""
    else:
        number, products = block or 0, f"blocks.{block or 0}."
    accumulators = dict(quantized.accumulators)
    if typed(context, ("bits", "overflow")):
        accumulator = pq.Accumulator(bits, overflow)
        accumulators = {product: accumulator for product in accumulators if product.startswith(products)}
    return rtl.EncoderBlock(plan, number, 32 if columns is None else columns, accumulators, name), quantized


def _others(context: typer.Context) -> Iterable[str]:
    return (one.name for one in context.command.params if one.name and one.name not in ENCODER_OPTIONS)


def generate_block(out: Output, output: Path, hardware: rtl.EncoderBlock) -> None:
    """Write the modules of an encoder block, and what its memories hold."""
    files.write(output / PICTURE, block_svg(hardware))
    show_design(out, output, hardware.module(), {"hardware": hardware.to_dict()}, describe(hardware), [PICTURE])


def simulate_block(
    out: Output,
    hardware: rtl.EncoderBlock,
    quantized: ptq.QuantizedModel,
    data: str,
    images: int,
    engine: str,
    seed: int,
) -> None:
    """Run images through an encoder block and compare every edge; exit status 1 at any difference."""
    pixels = pixels_of(quantized, data, images, seed)
    ran: list[rtl.BlockSimulation] = []
    absent: list[str] = []
    for name in rtl.ENGINES if engine == "all" else (engine,):
        try:
            ran.append(rtl.simulate_block(hardware, pixels, engine=name))
        except rtl.MissingToolError as error:
            if engine != "all":
                raise
            absent.append(str(error))
    found: list[dict[str, Any]] = [
        {"engine": one.engine, "values": sum(value.size for value in one.wanted.values()),
         "differ": sum(one.differing.values()), "build_seconds": round(one.build_seconds, 2),
         "run_seconds": round(one.run_seconds, 2)}
        for one in ran
    ]  # fmt: skip
    steps = [] if not ran else ran[0].steps()
    if steps:
        shown = [
            (*one[:3], *((one.macs, f"{100 * one.utilization:.0f} %") if one.macs else ("", ""))) for one in steps
        ]  # fmt: skip
        out.table(["step", "instructions", "cycles", "products", "of the multipliers"], shown, title=describe(hardware))
        total = sum(one.cycles for one in steps)
        out.note(f"{total:,} cycles for an image; {hardware.words:,} words of {hardware.places.word_bits} bits")
    out.table(["engine", "values", "differ", "build_seconds", "run_seconds"], [tuple(row.values()) for row in found])
    wrong = {name: count for one in ran for name, count in one.differing.items() if count}
    if wrong:
        out.table(["edge", "values that differ"], [[*item] for item in wrong.items()])
    for line in absent:
        out.note(f"not run: {line}")
    out.result(
        {"hardware": hardware.to_dict(), "images": images, "engines": found, "not_run": absent,
         "steps": [one._asdict() for one in steps], "differ": wrong}
    )  # fmt: skip
    if not ran or not all(one.equal for one in ran):
        raise typer.Exit(1)


def pixels_of(quantized: ptq.QuantizedModel, data: str, images: int, seed: int) -> NDArray[np.uint8]:
    """Images of a data set, as the network takes them."""
    from ptqsim import ptq

    plan, source = quantized.required_plan(), ptq.load_data(data, quantized.model)
    found: NDArray[np.uint8] = ptq.as_pixels(ptq.sample_images(source, images, seed), plan.mean, plan.std).numpy()
    return found


def describe(hardware: rtl.EncoderBlock) -> str:
    """The block in a line."""
    shape = " x ".join(map(str, hardware.part.edges[hardware.part.source].shape))
    program = hardware.program
    what = "whole network" if hardware.block is None else f"encoder block {hardware.block}"
    return (
        f"{what}: {hardware.part.source} [{shape}] to {hardware.part.output}, {len(program.instructions)} "
        f"instructions on {len(program.targets)} tiles and units, {hardware.columns} columns"
    )
