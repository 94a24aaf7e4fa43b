"""Prove a calibrated model's integer arithmetic right: recompute outputs in Python integers.

Of a model that was calibrated with *--integer-only*, outputs of every unit are recomputed too, and every value of whole
images, from pixels to logits.

Exit status 1 where any output of any layer differs from the reference.
"""

from __future__ import annotations

from typing import Annotated

import typer

from ptqsim.cli.framework.options import (
    AlignmentOption,
    BitsOption,
    CalibratedArgument,
    DataOption,
    OrderOption,
    OverflowOption,
    RegisterOption,
    SeedOption,
    ZeroPointOption,
    give_register,
    load_calibrated,
    make_accumulator,
)
from ptqsim.cli.framework.output import JsonOption, Output
from ptqsim.cli.network.fit_options import AttentionBitsOption, give_accumulators


def verify(
    calibrated: CalibratedArgument,
    outputs: Annotated[int, typer.Option("--outputs", min=1, help="Outputs to recompute of every layer.")] = 10_000,
    images: Annotated[int, typer.Option("--images", min=1, help="Images to run; the last layer needs many.")] = 100,
    whole: Annotated[
        int, typer.Option("--whole", min=0, help="Images to recompute from pixels to logits, if the model can do so.")
    ] = 1,
    bits: BitsOption = 32,
    attention_bits: AttentionBitsOption = None,
    overflow: OverflowOption = "wrap",
    order: OrderOption = "sequential",
    alignment: AlignmentOption = "product",
    zero_point: ZeroPointOption = None,
    register: RegisterOption = None,
    data: DataOption = "digits",
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    from ptqsim import ptq

    out = Output(as_json)
    quantized = load_calibrated(calibrated)
    accumulator = make_accumulator(bits, overflow, order, alignment, zero_point)
    give_accumulators(quantized, accumulator, attention_bits, zero_point is None)
    give_register(quantized, register)
    source = ptq.load_data(data, quantized.model)
    samples = ptq.sample_images(source, min(images, len(source)), seed)
    with out.progress("recomputing", "image") as report:
        checks = ptq.verify(quantized, samples, outputs=outputs, seed=seed, progress=report)
    if quantized.plan is not None:
        pixels = ptq.as_pixels(samples, quantized.plan.mean, quantized.plan.std)
        with out.progress("recomputing units", "image") as report:
            checks |= ptq.verify_units(quantized, pixels, outputs=outputs, seed=seed, progress=report)
        if whole:
            with out.progress("recomputing whole images", "image") as report:
                checks["whole images"] = ptq.verify_images(quantized, pixels[:whole], progress=report)
    out.table(
        ["layer or unit", "outputs recomputed", "mismatches", "first mismatch"],
        [[name, check.outputs, check.mismatches, check.first or None] for name, check in checks.items()],
    )
    total = sum(check.outputs for check in checks.values())
    wrong = sum(check.mismatches for check in checks.values())
    out.note(f"{total:,} outputs recomputed in Python integers, {wrong:,} differ")
    out.result({"outputs": total, "mismatches": wrong, "layers": checks})
    if wrong:
        raise typer.Exit(1)
