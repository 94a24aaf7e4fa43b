"""The architectures of timm, and which of them can be quantized.

Without *--check* the architectures are listed whose name or family fits the pattern. With it each is built without
weights, and of those that differ in size only the smallest is calibrated, run in integers and recomputed: a minute for
a family, most of an hour for all of them on one core.

    ptqsim models 'eva*'
    ptqsim models --check swin_transformer_v2
    ptqsim models --check -o docs/models/timm.json
    ptqsim models --from docs/models/timm.json --page docs/models.md
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptqsim.cli.framework import places
from ptqsim.cli.framework.output import Cell, JsonOption, Output

if TYPE_CHECKING:
    from ptqsim.ptq.survey import Verdict

_LISTED = 40
"""Architectures up to which each has a line; of more, only the refused ones have, and families are counted."""


def models(
    pattern: Annotated[
        str, typer.Argument(help="Names or families, with * and ?; by default all but convolutional networks.")
    ] = "*",
    check: Annotated[bool, typer.Option("--check", help="Find out which of them can be quantized.")] = False,
    known: Annotated[
        Path | None,
        typer.Option("--from", parser=places.path, help="A file of verdicts, which are not found anew."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(*places.OUT, parser=places.path, help="Keep the verdicts in this file.")
    ] = None,
    page: Annotated[
        Path | None, typer.Option("--page", parser=places.path, help="Write the verdicts as a page of Markdown.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    from ptqsim.common.files import write as write_text
    from ptqsim.ptq.survey import check_models, entry_points, installed, page_of, read_verdicts, write_verdicts

    places.check_file("--output", output, [page])  # it may be what --from names: verdicts are added to those
    places.check_file("--page", page, [known])
    if page is not None and known is None and not check:
        raise ValueError(
            "a page was asked for without verdicts: find them out with --check, or name a file with --from"
        )
    out = Output(as_json)
    names = entry_points(pattern)
    version = installed()
    verdicts: dict[str, Verdict] = {}
    if known is not None:
        version, verdicts = read_verdicts(known)
    if check and version != installed():
        raise ValueError(
            f"{known} holds verdicts on timm {version}, and timm {installed()} is installed: leave --from out"
        )
    if check:
        with out.progress("checking", "step") as report:
            for found in check_models(pattern, known=verdicts, progress=report):
                verdicts |= found
                if output is not None:  # as they come: what is interrupted goes on with --from
                    write_verdicts(output, verdicts)
    chosen = {name: verdicts[name] for name in names if name in verdicts}
    if page is not None:
        write_text(page, page_of(version, chosen))
    if not check and known is None:
        out.table(["architecture", "family"], list(names.items()))
        out.result({"architectures": names})
        return
    if len(chosen) > _LISTED:
        families: dict[str, list[Verdict]] = {}
        for verdict in chosen.values():
            families.setdefault(verdict.family, []).append(verdict)
        counts: list[list[Cell]] = [[family, len(of), sum(v.works for v in of)] for family, of in families.items()]
        out.table(["family", "architectures", "work"], counts)
    out.table(
        ["architecture", "family", "products", "run as", "verdict"],
        [
            [name, v.family, v.products, v.run, v.refused or "works"]
            for name, v in chosen.items()
            if len(chosen) <= _LISTED or not v.works
        ],
    )
    working = sum(verdict.works for verdict in chosen.values())
    out.note(f"{working} of {len(chosen)} architectures work")
    out.result(
        {
            "architectures": len(chosen),
            "working": working,
            "verdicts": {
                name: {"family": v.family, "parameters": v.parameters, "run": v.run, "products": v.products,
                       "works": v.works, "refused": v.refused}
                for name, v in chosen.items()
            },
        }
    )  # fmt: skip
