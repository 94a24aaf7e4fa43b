"""Output of commands: results to stdout, everything else to stderr.

With ``--json`` the result is one JSON document and nothing else reaches stdout: tables move to stderr. What is not
finite, such as the cross-entropy of a network that gives NaN, is null in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import environ
from typing import Annotated, TypeVar

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console, JustifyMethod
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from ptqsim.common import strict_json
from ptqsim.common.progress import Progress

T = TypeVar("T")
Cell = str | int | float | bool | None

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]


class Output:
    """Writer of one command run.

    Parameters
    ----------
    as_json : bool
        The command's ``--json``.
    """

    def __init__(self, as_json: bool = False) -> None:
        self._as_json = as_json
        self._errors = _console(stderr=True)
        self._tables = self._errors if as_json else _console(stderr=False)

    def note(self, text: str) -> None:
        """A line about what is going on, to stderr."""
        self._errors.print(text, markup=False, soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Cell]], title: str | None = None) -> None:
        """A table; columns of numbers are set flush right.

        Parameters
        ----------
        columns : sequence of str
            Headings.
        rows : iterable of sequences
            As long as ``columns``; None is an empty cell; how a float is rounded is the caller's choice (give a str).
        title : str, optional
            Above the table.
        """
        cells = [list(row) for row in rows]
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        for index, heading in enumerate(columns):
            justify: JustifyMethod = "right" if all(_is_numeric(row[index]) for row in cells) else "left"
            # Names stand first and stay whole; other long cells go on in the next line. Nothing is cut off.
            table.add_column(Text(heading), justify=justify, no_wrap=index == 0, overflow="fold")
        for row in cells:
            table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
        self._tables.print(table)

    def result(self, data: Mapping[str, object]) -> None:
        """The machine-readable result; written with ``--json`` only, once per command."""
        if self._as_json:
            typer.echo(strict_json.dumps(data, indent=2))

    @contextmanager
    def progress(self, description: str, unit: str) -> Iterator[Progress]:
        """A bar with rate and remaining time, drawn on stderr while it is a terminal.

        Parameters
        ----------
        description : str
            What is going on.
        unit : str
            What is counted, in the singular: "image".

        Yields
        ------
        Progress
            ``report(done, total, state)``, to be passed to library functions as their progress callback.
        """
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _RateColumn(unit),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[state]}"),
        )
        with Bars(*columns, console=self._errors, transient=True, disable=not self._errors.is_terminal) as bar:
            task = bar.add_task(description, total=None, state="")

            def report(done: int, total: int, state: str = "") -> None:
                bar.update(task, completed=done, total=total, state=state)

            yield report

    def track(self, items: Sequence[T], description: str, unit: str) -> Iterator[T]:
        """The items one by one under a progress bar."""
        with self.progress(description, unit) as report:
            for done, item in enumerate(items):
                report(done, len(items), "")
                yield item
            report(len(items), len(items), "")


def _console(stderr: bool) -> Console:
    """As wide as the terminal, and wide enough for tables where there is none."""
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal and "COLUMNS" not in environ:
        console.width = 160
    return console


class _RateColumn(ProgressColumn):
    """Items per second, or seconds per item where that says more."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        if not task.speed:
            return Text(f"{self._unit}s")
        if task.speed >= 1:
            return Text(f"{task.speed:.1f} {self._unit}s/s")
        return Text(f"{1 / task.speed:.1f} s/{self._unit}")


def _is_numeric(cell: Cell) -> bool:
    if isinstance(cell, str):
        try:
            float(cell.rstrip("%"))
        except ValueError:
            return False
    return True
