"""Make the project's tables: Markdown and LaTeX, with the data behind them as CSV and their provenance."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from analysis.artifact import Table
from analysis.commands.demo import show
from analysis.registry import TABLES, table
from analysis.store import Store
from analysis.workload import Workload
from ptqsim.cli.errors import on_interrupt
from ptqsim.cli.options import DataOption
from ptqsim.cli.output import JsonOption, Output
from ptqsim.errors import unknown_name


def tables(
    names: Annotated[
        list[str] | None, typer.Argument(help="Which, e.g. methods.accuracy; all if none is named.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to.")] = Path("figures"),
    listed: Annotated[bool, typer.Option("--list", help="List the names and stop.")] = False,
    data: DataOption = "digits",
    images: Annotated[int, typer.Option("--images", min=1, help="Calibration images.")] = 32,
    option: Annotated[
        list[str] | None,
        typer.Option("-O", "--option", help="Option of the tables: name=value, e.g. widths=[6,4] or images=2000."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    output = Output(as_json)
    given = dict(map(_parse, option or []))
    chosen = [_with_options(table(name), given) for name in names or TABLES]
    if listed:
        output.table(("Name", "Title"), [(made.name, made.title) for made in chosen], "Tables")
        output.result({made.name: made.title for made in chosen})
        return
    source = Workload(store=Store(out / ".cache"), data=data, images=images, progress=output.progress)
    written: dict[str, Any] = {}
    interrupted = on_interrupt(
        lambda: (
            f"{len(written)} of {len(chosen)} tables are in {out}, and what the next one has finished is kept: "
            "the same command resumes"
        )
    )
    with source, interrupted:
        for made in chosen:
            found = made.make(source, out)
            written[made.name] = {name: frame.records() for name, frame in found.items()}
            show(made, found, output)
            output.note(f"{out / made.name}.md .tex .csv .json")
    output.result({"directory": out, "tables": written})


def _with_options(made: Table, options: dict[str, Any]) -> Table:
    """The table with these options; an unknown one is a ValueError that suggests the nearest."""
    legal = {field.name: getattr(made, field.name) for field in fields(made)}
    for name, value in options.items():
        if name not in legal:
            raise unknown_name(f"option of table {made.name!r}", name, legal)
        if type(value) is not type(legal[name]):
            raise ValueError(f"option {name!r} is {value!r}; legal is such a value as its default, {legal[name]!r}")
    return replace(made, **options)


def _parse(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    try:
        found = json.loads(value)
    except json.JSONDecodeError:
        found = None
    if not (name and equals and found is not None):
        raise ValueError(f"option {text!r} can't be read; legal is name=JSON: try images=2000 or widths=[6,4]")
    return name, tuple(found) if isinstance(found, list) else found
