"""An encoder block in hardware: its options, and the commands for it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

import ptqsim as pq
from ptqsim import rtl
from ptqsim.cli.framework import places
from ptqsim.cli.framework.options import load_calibrated
from ptqsim.cli.framework.output import Output
from ptqsim.cli.framework.typed import typed
from ptqsim.cli.rtl.integer_unit import show_design

if TYPE_CHECKING:
    from ptqsim import ptq

BLOCK: Final = "block"
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
    """True if the arguments name an encoder block; an error if there is a second argument and the first is another."""
    if model is not None and str(named) != BLOCK:
        raise ValueError(
            f"two names were given, {named} and {model}; a second one is the file of a block: try block FILE"
        )
    return str(named) == BLOCK and (model is not None or not Path(BLOCK).exists())


def block_of(
    context: typer.Context, model: Path | None, block: int | None, columns: int | None, bits: int, overflow: str,
    name: str = "ptqsim",
) -> tuple[rtl.EncoderBlock, ptq.QuantizedModel]:  # fmt: skip
    """The block that the options describe, and its network."""
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
    plan = quantized.required_plan()
    accumulators = dict(quantized.accumulators)
    if typed(context, ("bits", "overflow")):
        accumulator = pq.Accumulator(bits, overflow)
        accumulators = {product: accumulator for product in accumulators if product.startswith(f"blocks.{block or 0}.")}
    return rtl.EncoderBlock(plan, block or 0, 32 if columns is None else columns, accumulators, name), quantized


def _others(context: typer.Context) -> Iterable[str]:
    return (one.name for one in context.command.params if one.name and one.name not in ENCODER_OPTIONS)


def generate_block(out: Output, output: Path, hardware: rtl.EncoderBlock) -> None:
    """Write the modules of an encoder block, and what its memories hold."""
    show_design(out, output, hardware.module(), {"hardware": hardware.to_dict()}, describe(hardware))


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
    from ptqsim import ptq

    plan = hardware.plan
    source = ptq.load_data(data, quantized.model)
    pixels = ptq.as_pixels(ptq.sample_images(source, images, seed), plan.mean, plan.std).numpy()
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


def describe(hardware: rtl.EncoderBlock) -> str:
    """The block in a line."""
    tokens, channels = hardware.part.edges[hardware.part.source].shape
    program = hardware.program
    return (
        f"encoder block {hardware.block}: {tokens} tokens of {channels} channels, {len(program.instructions)} "
        f"instructions on {len(program.targets)} tiles and units, {hardware.columns} columns"
    )
