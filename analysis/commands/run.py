"""The common part of the commands ``figures`` and ``tables``: choose, compute in parallel, write, show, resume."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
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
    NumClassesOption,
    PretrainedOption,
    SeedOption,
    model_options,
)
from ptqsim.cli.framework.output import JsonOption, Output

from ..framework.artifact import Artifact, Table, kind_of
from ..framework.options import legal_options, with_options
from ..framework.points import run_side_by_side
from ..framework.registry import LONG, artifact
from ..framework.store import ArtifactStore
from ..framework.workload import Workload
from .show import show

NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(help="Which, e.g. ptq4vit.fig5; if none is named all, but for those that take hours."),
]
OutOption = Annotated[Path, typer.Option(*places.OUT, parser=places.path, help="Folder to write to.")]
ListOption = Annotated[bool, typer.Option("--list", help="List the names and stop.")]
ModelsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        help="A bundled model, a network of the papers (deit_small) or a timm model name; for tables as often as "
        "wanted. By default vit_digits, and for tables every bundled model.",
    ),
]
ImagesOption = Annotated[int, typer.Option("--images", min=1, help="Calibration images.")]
OptionOption = Annotated[
    list[str] | None,
    typer.Option("-O", "--option", help="Option of a figure or table, e.g. bits=4 or widths=8,6; 'help' lists them."),
]
JobsOption = Annotated[
    int, typer.Option("--jobs", "-j", min=1, help="Processes that do independent work side by side.")
]


@dataclass(frozen=True)
class Inputs:
    """Models and data as the options of a command name them."""

    out: Path
    models: Sequence[str]
    data: str
    pretrained: bool
    checkpoint: Path | None
    options: Mapping[str, Any]
    images: int
    seed: int

    def workload(self, output: Output) -> Workload:
        """A workload of the first model."""
        if self.checkpoint is not None and len(self.models) > 1:
            raise ValueError(
                f"one checkpoint was given for {len(self.models)} models; legal is one of one model: "
                "name a single --model beside --checkpoint"
            )
        if self.options and len(self.models) != 1:
            option = next(iter(self.options)).replace("_", "-")
            raise ValueError(f"--{option} is of one model: name a single --model beside it")
        return Workload(
            store=ArtifactStore(self.out / ".cache"),
            model=self.models[0] if self.models else "vit_digits",
            data=self.data,
            pretrained=self.pretrained,
            checkpoint=self.checkpoint,
            options=self.options,
            images=self.images,
            seed=self.seed,
            progress=output.progress,
        )


def command(registry: Iterable[str]) -> Callable[..., None]:
    """Return the function of a command that makes artifacts: those named, or all but those that take hours.

    Parameters
    ----------
    registry : iterable of str
        Names of all artifacts of the command.
    """

    def make(
        names: NamesArgument = None,
        out: OutOption = Path("figures"),
        listed: ListOption = False,
        model: ModelsOption = None,
        pretrained: PretrainedOption = False,
        checkpoint: CheckpointOption = None,
        img_size: ImgSizeOption = None,
        num_classes: NumClassesOption = None,
        in_chans: InChansOption = None,
        model_kwargs: ModelKwargsOption = None,
        data: DataOption = "digits",
        images: ImagesOption = 32,
        seed: SeedOption = 0,
        option: OptionOption = None,
        jobs: JobsOption = 1,
        as_json: JsonOption = False,
    ) -> None:
        options = model_options(img_size, num_classes, in_chans, model_kwargs)
        source = Inputs(out, model or [], data, pretrained, checkpoint, options, images, seed)
        wanted = names or [name for name in registry if listed or name not in LONG]
        run(wanted, source, option or [], listed=listed, jobs=jobs, as_json=as_json)

    return make


def run(names: Sequence[str], source: Inputs, option: Sequence[str], *, listed: bool, jobs: int, as_json: bool) -> None:
    """Make figures and tables.

    Parameters
    ----------
    names : sequence of str
    source : Inputs
    option : sequence of str
        ``name=value`` each, or ``help``.
    listed : bool
        Only list them.
    jobs : int
        Processes.
    as_json : bool
        Print the result as JSON.
    """
    output = Output(as_json)
    chosen: list[Artifact] = [artifact(name) for name in names]
    if listed:
        output.table(("Name", "Title"), [(made.name, made.title) for made in chosen], "Figures and tables")
        output.result({made.name: made.title for made in chosen})
        return
    if "help" in option:
        _list_options(output, chosen)
        return
    chosen = _of_models(with_options(_suited(chosen, source.models, output), option), source.models)
    places.check_folder("-o", source.out)
    work = source.workload(output)
    written: dict[str, Any] = {}
    interrupted = on_interrupt(
        lambda: (
            f"{len(written)} of {len(chosen)} are in {source.out}, and what the others have finished is kept: "
            "the same command resumes"
        )
    )
    with work, interrupted:
        if jobs > 1:
            run_side_by_side((task for made in chosen for task in made.tasks(work)), jobs, work)
        for made in chosen:
            start = time.perf_counter()
            found = made.make(work, source.out)
            tabular = isinstance(made, Table)
            written[made.name] = {name: frame.records() for name, frame in found.items()} if tabular else None
            show(made, found, output)
            seconds = time.perf_counter() - start
            output.note(
                f"[{len(written)}/{len(chosen)}] {source.out / made.name}.{{{','.join(_kinds(made))}}}  {seconds:.1f} s"
            )
    tables = {name: frames for name, frames in written.items() if frames is not None}
    output.result({"directory": source.out, "written": list(written), "tables": tables})


def _suited(chosen: Sequence[Artifact], models: Sequence[str], output: Output) -> list[Artifact]:
    """Those that can be made from the models named; a ValueError if there is none."""
    kinds = {kind_of(model) for model in models}
    suited = [made for made in chosen if not (made.needs_model and models) or kinds & set(made.networks)]
    left = [made for made in chosen if made not in suited]
    if not suited:
        raise ValueError(
            f"{left[0].name} is made from a {' or '.join(left[0].networks)}, and {models[0]} is none: name another "
            "--model, or leave it out"
        )
    if left:
        output.note(f"left out, as {', '.join(models)} is no network for them: {', '.join(made.name for made in left)}")
    return suited


def _of_models(chosen: Iterable[Artifact], models: Sequence[str]) -> list[Artifact]:
    """Hand the models named to those that compare several."""
    made = []
    for one in chosen:
        several = "models" in {field.name for field in fields(one)}
        if len(models) > 1 and not several:
            raise ValueError(f"{len(models)} models were named, and {one.name} is made from one: name a single --model")
        suited = tuple(model for model in models if kind_of(model) in one.networks)
        made.append(replace(one, models=suited) if several and suited else one)  # type: ignore[call-arg]
    return made


def _kinds(made: Artifact) -> list[str]:
    return [suffix.removeprefix(".") for suffix in made.suffixes] + ["csv", "json"]


def _list_options(output: Output, chosen: Iterable[Artifact]) -> None:
    found: Mapping[str, dict[str, Any]] = {made.name: legal_options(made) for made in chosen}
    rows = [(name, option, _shown(value)) for name, values in found.items() for option, value in values.items()]
    output.table(("figure or table", "option", "default"), rows, "Options")
    output.result(found)


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
