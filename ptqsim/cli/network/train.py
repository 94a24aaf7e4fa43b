"""Train a bundled model on digit scenes (detr_digits: on detection scenes).

The run is decided by the model and the recipe (see **ptqsim.ptq.training**). It can be interrupted at any time: the
same command resumes it from the state file. The result is written with its recipe and its accuracy in the metadata.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ptqsim.cli.framework import places
from ptqsim.cli.framework.errors import on_interrupt
from ptqsim.cli.framework.metrics import metric_cells
from ptqsim.cli.framework.options import SeedOption
from ptqsim.cli.framework.output import JsonOption, Output


def train(
    output: Annotated[Path, typer.Option(*places.OUT, parser=places.path, help="Safetensors file to write.")],
    model: Annotated[str, typer.Option("--model", help="Name of a bundled model.")] = "vit_digits",
    images: Annotated[
        int | None, typer.Option("--images", min=1, help="Training scenes; the recipe's by default.")
    ] = None,
    seed: SeedOption = 0,
    float32: Annotated[bool, typer.Option("--float32", help="Matrix products in float32 instead of bfloat16.")] = False,
    state: Annotated[
        Path | None, typer.Option("--state", parser=places.path, help="Where to keep the state of the run.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Validation images at the end.")] = 10_000,
    as_json: JsonOption = False,
) -> None:
    from ptqsim import ptq
    from ptqsim.ptq.training.bundled import recipe_of, train_bundled
    from ptqsim.ptq.training.classifiers import save_trained

    out = Output(as_json)
    kept = state or Path("runs") / model / "state.safetensors"
    places.check_file("-o", output, [kept])
    places.check_file("--state", kept)
    recipe = recipe_of(model, seed, not float32, images)
    with (
        on_interrupt(lambda: f"the state is kept in {kept}; the same command resumes it"),
        out.progress(f"training {model}", "step") as report,
    ):
        network = train_bundled(model, recipe, kept, report)
    with out.progress("validation", "image") as report:
        data = ptq.load_data("digits", network)
        result = ptq.measure(network, data, limit=limit, progress=report)
    save_trained(network, output, model, recipe, result)
    headings, cells = metric_cells(result.metrics)
    out.table(["model", "training scenes", *headings], [[model, recipe.images, *cells]])
    out.note(f"written to {output}")
    out.result({"output": output, "recipe": asdict(recipe), **result.metrics})
