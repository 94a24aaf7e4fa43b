"""Tables in the terminal."""

from __future__ import annotations

from ptqsim.cli.framework.output import Output

from ..framework.artifact import Artifact, Table
from ..framework.frame import Data


def show(part: Artifact, found: Data, output: Output) -> None:
    """Print a table with its notes; a picture is only written."""
    if not isinstance(part, Table):
        return
    printed = part.printed(found)
    output.table(printed.columns, [[cell or None for cell in row] for row in printed.rows], printed.title)
    for note in printed.notes:
        output.note(note)
