"""Train a bundled model on digit scenes.

The run is decided by the model and the recipe (see **ptqsim.ptq.training**). It can be interrupted at any time: the
same command resumes it from the state file. The result is written with its recipe and its accuracy in the metadata.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from ptqsim.cli.errors import on_interrupt
from ptqsim.cli.options import SeedOption
from ptqsim.cli.output import JsonOption, Output


def train(
    output: Annotated[Path, typer.Option("-o", "--output", help="Safetensors file to write.")],
    model: Annotated[str, typer.Option("--model", help="Name of a bundled model.")] = "vit_digits",
    images: Annotated[
        int | None, typer.Option("--images", min=1, help="Training scenes; the recipe's by default.")
    ] = None,
    seed: SeedOption = 0,
    float32: Annotated[bool, typer.Option("--float32", help="Matrix products in float32 instead of bfloat16.")] = False,
    state: Annotated[Path | None, typer.Option("--state", help="Where to keep the state of the run.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Validation images at the end.")] = 10_000,
    as_json: JsonOption = False,
) -> None:
    from ptqsim import ptq
    from ptqsim.errors import unknown_name
    from ptqsim.ptq import training
    from ptqsim.ptq.recipe import RECIPES

    out = Output(as_json)
    if model not in ptq.BUNDLED:
        raise unknown_name("bundled model", model, ptq.BUNDLED)
    recipe = replace(RECIPES[model], seed=seed, bfloat16=not float32)
    if images is not None:
        recipe = replace(recipe, images=images)
    kept = state or Path("runs") / model / "state.safetensors"
    with (
        on_interrupt(lambda: f"the state is kept in {kept}; the same command resumes it"),
        out.progress(f"training {model}", "step") as report,
    ):
        network = training.train(
            ptq.BUNDLED[model], recipe, kept, progress=lambda done, total, loss: report(done, total, f"loss {loss:.3f}")
        )
    with out.progress("validation", "image") as report:
        data = ptq.load_data("digits", network)
        result = ptq.evaluate(network, data, limit=limit, progress=lambda done, total: report(done, total, ""))
    training.save_trained(network, output, model, recipe, result)
    out.table(["model", "training scenes", "top-1 (%)"], [[model, recipe.images, f"{result.top1:.2f}"]])
    out.note(f"written to {output}")
    out.result({"output": output, "recipe": asdict(recipe), "top1": result.top1, "cross_entropy": result.cross_entropy})
