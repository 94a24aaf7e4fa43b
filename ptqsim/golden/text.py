"""Values found in text files, and where."""

from __future__ import annotations

from typing import NamedTuple


class Located(NamedTuple):
    """A value and the line, counted from 1, that it stands in."""

    line: int
    value: int


class UnreadableError(ValueError):
    """Text that is not of its format.

    Attributes
    ----------
    line : int
        Line number, from 1.
    """

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line
