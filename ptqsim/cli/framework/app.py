"""The ``ptqsim`` command: global options, dispatch, and one way to fail."""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ptqsim.cli.framework.commands import LazyCommand, discover
from ptqsim.cli.framework.errors import Interrupted, explain


@dataclass
class Run:
    """State of this run: what the global options and the dispatch leave for its end."""

    command: str = "ptqsim"
    debug: bool = False


class Commands(TyperGroup):
    """The group of all commands, found but not imported."""

    def __init__(self, **attributes: Any) -> None:  # typer's own keywords, passed through
        super().__init__(**attributes)
        for name, target in discover().items():
            self.add_command(LazyCommand(name, target))

    def invoke(self, ctx: Any) -> Any:
        """Run the command; Ctrl-C becomes an error with a line to say, before typer makes it a bare status."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted from None


app = typer.Typer(
    cls=Commands,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ptqsim {installed_version('ptqsim')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def ptqsim(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and exit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="PTQSIM_TRACEBACK", help="Show the traceback of an error.")
    ] = False,
) -> None:
    """Post-training quantization of vision transformers, simulated to the last bit of the integer datapath."""
    run = ctx.find_object(Run)
    if run is not None:
        run.debug = debug
        run.command = f"ptqsim {ctx.invoked_subcommand}" if ctx.invoked_subcommand else run.command
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process if not given.

    Returns
    -------
    int
        Exit status, see `ptqsim.cli.framework.errors`.
    """
    run = Run()
    told_before, warnings.formatwarning = warnings.formatwarning, lambda text, *_: f"{run.command}: warning: {text}\n"
    try:
        with _warnings_in_one_line(run):
            status = typer.main.get_command(app).main(arguments, prog_name="ptqsim", standalone_mode=False, obj=run)
    except Exception as error:
        told = explain(error)
        if told is None:
            raise
        if run.debug:
            traceback.print_exception(error)
        status, line = told
        if line:
            sys.stderr.write(f"{run.command}: {line}\n")
    finally:
        warnings.formatwarning = told_before
    return status if isinstance(status, int) else 0


@contextmanager
def _warnings_in_one_line(run: Run) -> Iterator[None]:
    """Within it a warning is a line on stderr, without the place in the library that it comes from."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        sys.stderr.write(f"{run.command}: warning: {' '.join(str(message).split())}\n")

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
