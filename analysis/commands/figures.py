"""Draw the papers' figures from a model: PDF, SVG and PNG, with the data behind them as CSV and their provenance."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from analysis.registry import ARTIFACTS, artifact
from analysis.store import Store
from analysis.workload import Workload
from ptqsim.cli.errors import on_interrupt
from ptqsim.cli.options import CheckpointOption, DataOption, ModelOption, PretrainedOption, SeedOption
from ptqsim.cli.output import JsonOption, Output


def figures(
    names: Annotated[list[str] | None, typer.Argument(help="Which, e.g. ptq4vit.fig5; all if none is named.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to.")] = Path("figures"),
    listed: Annotated[bool, typer.Option("--list", help="List the names and stop.")] = False,
    model: ModelOption = "vit_digits",
    pretrained: PretrainedOption = False,
    checkpoint: CheckpointOption = None,
    data: DataOption = "digits",
    images: Annotated[int, typer.Option("--images", min=1, help="Calibration images.")] = 32,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    output = Output(as_json)
    chosen = [artifact(name) for name in names or ARTIFACTS]
    if listed:
        output.table(("Name", "Title"), [(made.name, made.title) for made in chosen], "Figures and tables")
        output.result({made.name: made.title for made in chosen})
        return
    source = Workload(
        store=Store(out / ".cache"),
        model=model,
        data=data,
        pretrained=pretrained,
        checkpoint=checkpoint,
        images=images,
        seed=seed,
        progress=output.progress,
    )
    written: list[str] = []
    interrupted = on_interrupt(
        lambda: (
            f"{len(written)} of {len(chosen)} parts are in {out}, and what the next one has finished is kept: "
            "the same command resumes"
        )
    )
    with source, interrupted:
        for made in chosen:
            made.make(source, out)
            written.append(made.name)
            output.note(f"{out / made.name}.pdf .svg .png .csv .json")
    output.result({"directory": out, "written": written})
