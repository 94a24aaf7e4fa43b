"""The table of subcommands, each imported only when it is run.

A command is a target ``"module:attribute"``, the attribute being a function with typer annotations or a
``typer.Typer``. The module's docstring is the command's help page and its first line the command's line in
``ptqsim --help``, where it is read from the source, so that asking for help imports no command and so no torch.

Dependencies point one way: built-in commands are listed here, and so are, as text only, those of the packages above the
CLI (``analysis``, ``benchmarks``). Other distributions add theirs as entry points in the group ``ptqsim.commands``.
"""

from __future__ import annotations

import ast
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import typer
from typer.core import TyperCommand

from ptqsim.cli.framework.help_pages import set_pages
from ptqsim.cli.framework.pairs import spread

ENTRY_POINT_GROUP: Final = "ptqsim.commands"

BUILT_IN: Final = {
    "fetch": "ptqsim.cli.network.fetch:fetch",
    "convert": "ptqsim.cli.network.convert:convert",
    "train": "ptqsim.cli.network.train:train",
    "calibrate": "ptqsim.cli.network.calibrate:calibrate",
    "evaluate": "ptqsim.cli.network.evaluate:evaluate",
    "simulate": "ptqsim.cli.network.simulate:simulate",
    "verify": "ptqsim.cli.network.verify:verify",
    "bounds": "ptqsim.cli.bounds:bounds",
    "units": "ptqsim.cli.units:units",
    "profiles": "ptqsim.cli.profiles:profiles",
    "export": "ptqsim.cli.network.export:export",
    "vectors": "ptqsim.cli.vectors:vectors",
    "rtl": "ptqsim.cli.rtl.app:rtl",
    "sweep": "ptqsim.cli.sweep:sweep",
    "models": "ptqsim.cli.network.models:models",
}

# The repository has these packages beside ptqsim; an installation has analysis in it and benchmarks not at all.
ABOVE: Final = {
    "bench": "benchmarks.command:bench",
    "demo": "analysis.commands.demo:demo",
    "figures": "analysis.commands.figures:figures",
    "report": "analysis.report.command:report",
    "tables": "analysis.commands.tables:tables",
}


_REPOSITORY: Final = Path(__file__).parents[3]


def discover() -> dict[str, str]:
    """Name and target of every command, the built-in ones first; no entry point replaces one of ptqsim's own."""
    added = {entry.name: entry.value for entry in entry_points(group=ENTRY_POINT_GROUP)}
    for name, target in ABOVE.items():
        package = target.partition(".")[0]
        if find_spec(f"ptqsim.{package}"):
            added[name] = f"ptqsim.{target}"
        elif (_REPOSITORY / "pyproject.toml").is_file() and (_REPOSITORY / package).is_dir():
            added[name] = target  # a package of that name in somebody's site-packages is not ours
    return BUILT_IN | {name: added[name] for name in sorted(added) if name not in BUILT_IN}


def summary(target: str) -> str:
    """First line of the docstring of a target's module, without importing that module."""
    module = target.partition(":")[0]
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        return f"(not available: no module {module})"
    docstring = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]


def load(name: str, target: str) -> Any:  # typer's own type of a command is private
    """Import a command and make typer's command object of it."""
    module_name, _, attribute = target.partition(":")
    module = import_module(module_name)
    found = getattr(module, attribute)
    if not isinstance(found, typer.Typer):
        single = typer.Typer(add_completion=False, rich_markup_mode="markdown")
        single.command(name)(found)
        found = single
    command = typer.main.get_command(found)
    command.name = name
    set_pages(command, module.__doc__ or "")
    return command


class LazyCommand(TyperCommand):
    """Stands for a command in help and completion; the real one takes over when its arguments are parsed."""

    def __init__(self, name: str, target: str) -> None:
        super().__init__(name, help=summary(target), rich_markup_mode="markdown")
        self.target = target

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Context of the real command, so that everything after this happens to that one."""
        return load(self.name or self.target, self.target).make_context(info_name, spread(args), parent=parent, **extra)
