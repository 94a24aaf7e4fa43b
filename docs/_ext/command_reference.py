"""Command line reference from the commands' own help: a page per command."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sphinx.application import Sphinx
from sphinx.config import Config

from ptqsim.cli.framework.commands import discover, load

GENERATED: Final = Path(__file__).parents[1] / "reference" / "commands"

_BRACKET: Final = re.compile(r"\s*\[(?P<facts>(?:default: |required|env var: |x[<>]|\S+<=x)[^\[\]]*(?:\[[^\]]*\])?)\]$")
"""Suffix that click appends to the help of a parameter: ``[env var: NAME; default: 32; x>=1]``."""


def page(name: str, command: Any) -> str:
    """Markdown of the page of one command and of its subcommands."""
    return "\n".join(_section(f"ptqsim {name}", command, 1))


def _section(name: str, command: Any, depth: int) -> Iterator[str]:
    context = command.make_context(name, [], resilient_parsing=True)
    first, _, rest = (command.help or "").partition("\n")
    yield from ("#" * depth + f" {name}", "", first, "")
    yield from ("```text", " ".join([name, *command.collect_usage_pieces(context)]), "```", "", rest.strip("\n"), "")
    rows = [_row(parameter, context) for parameter in command.get_params(context)]
    for kind, heading in (("argument", "Argument"), ("option", "Option")):
        chosen = [cells for its_kind, *cells in filter(None, rows) if its_kind == kind]
        if chosen:
            yield from (f"| {heading} | Description | Default |", "| --- | --- | --- |")
            yield from ("| " + " | ".join(cells) + " |" for cells in chosen)
            yield ""
    for subname, subcommand in getattr(command, "commands", {}).items():
        yield from _section(f"{name} {subname}", subcommand, depth + 1)


def _row(parameter: Any, context: Any) -> tuple[str, str, str, str] | None:
    """Kind, name, help and default of a parameter, as its help page has them."""
    record = parameter.get_help_record(context)
    if record is None:
        return None
    names, told = record
    bracket = _BRACKET.search(told)
    about = told[: bracket.start()] if bracket else told
    facts = bracket["facts"].split("; ") if bracket else []
    default = [f"`{fact.removeprefix('default: ')}`" for fact in facts if fact.startswith("default: ")]
    legal = "".join(f" `{fact}`" for fact in facts if "x" in fact and ("<" in fact or ">" in fact))
    required = [fact for fact in facts if fact == "required"]
    return parameter.param_type_name, f"`{names}`", _cell(about) + legal, " ".join(default or required)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def generate(_app: Sphinx, _config: Config) -> None:
    """Write the pages anew, before Sphinx looks for pages."""
    shutil.rmtree(GENERATED, ignore_errors=True)
    GENERATED.mkdir(parents=True)
    rows = ["| Command | Purpose |", "| --- | --- |"]
    for name, target in discover().items():
        command = load(name, target)
        (GENERATED / f"{name}.md").write_text(page(name, command) + "\n", encoding="utf-8")
        rows.append(f"| [ptqsim {name}](commands/{name}.md) | {_cell(command.help.partition(chr(10))[0])} |")
    (GENERATED / "table.inc").write_text("\n".join(rows) + "\n", encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("config-inited", generate)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
