"""The whole job on bundled data: calibrate, run in exact integers, prove the arithmetic, draw the paper's figures.

Prints the accuracy of the float network, Base PTQ and PTQ4ViT at W8A8, W6A6 and W4A4, by fake quantization and in
exact integers; an exactness check of every operation against the reference in Python integers; formats and accumulator
widths of every operation; and top-1 as the accumulators shrink.  All of it, and Figs. 2 to 5 of PTQ4ViT from this
model, is written as CSV and as pictures.

Finished parts are kept, so that an interrupted demo goes on where it stopped.  Exit status 1 if an output is not exact.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ptqsim.cli.framework import places
from ptqsim.cli.framework.errors import on_interrupt
from ptqsim.cli.framework.options import (
    CheckpointOption,
    DataOption,
    ImgSizeOption,
    InChansOption,
    ModelKwargsOption,
    ModelOption,
    NumClassesOption,
    PretrainedOption,
    SeedOption,
    model_options,
)
from ptqsim.cli.framework.output import JsonOption, Output

from ..demo.exactness import Exactness, mismatches
from ..demo.plan import plan
from ..framework.artifact import Artifact, Table
from ..framework.frame import Data
from ..framework.store import ArtifactStore
from ..framework.workload import Workload
from .show import show


def demo(
    full: Annotated[bool, typer.Option("--full", help="Use all validation images, and check every width.")] = False,
    out: Annotated[Path, typer.Option(*places.OUT, parser=places.path, help="Folder to write to.")] = Path(
        "figures/demo"
    ),
    model: ModelOption = "vit_digits",
    pretrained: PretrainedOption = False,
    checkpoint: CheckpointOption = None,
    img_size: ImgSizeOption = None,
    num_classes: NumClassesOption = None,
    in_chans: InChansOption = None,
    model_kwargs: ModelKwargsOption = None,
    data: DataOption = "digits",
    images: Annotated[int, typer.Option("--images", min=1, help="Calibration images.")] = 32,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    output = Output(as_json)
    places.check_folder("-o", out)
    source = Workload(
        store=ArtifactStore(out / ".cache"),
        model=model,
        data=data,
        pretrained=pretrained,
        checkpoint=checkpoint,
        options=model_options(img_size, num_classes, in_chans, model_kwargs),
        images=images,
        seed=seed,
        progress=output.progress,
    )
    parts = plan(source, full=full)
    results: dict[str, Any] = {}
    wrong = 0
    interrupted = on_interrupt(
        lambda: (
            f"{len(results)} of {len(parts)} parts are in {out}, and what the next one has finished is kept: "
            "the same command resumes"
        )
    )
    with source, interrupted:
        for part in parts:
            start = time.perf_counter()
            found = part.make(source, out)
            seconds = time.perf_counter() - start
            results[part.name] = {"seconds": round(seconds, 2), "data": _records(part, found)}
            show(part, found, output)
            output.note(f"[{len(results)}/{len(parts)}] {part.title}: {seconds:.1f} s, {out / part.name}.*")
            if isinstance(part, Exactness):
                wrong += mismatches(found)
    output.result({"directory": out, "parts": results, "mismatches": wrong})
    if wrong:
        output.note(f"{wrong} outputs are not what the reference computes: a defect of this program; please report it")
        raise typer.Exit(1)


def _records(part: Artifact, found: Data) -> dict[str, Any] | None:
    """The rows of a table; the data of a picture is in its CSV files."""
    return {name: frame.records() for name, frame in found.items()} if isinstance(part, Table) else None
