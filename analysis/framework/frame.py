"""Frames: the tables of plain values that stand behind every figure and table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Cell = str | int | float | bool | None
Data = Mapping[str, "Frame"]
"""Data of an artifact: frames by name, each written as one CSV file."""


@dataclass(frozen=True)
class Frame:
    """Rows of cells under named columns; immutable, and the same bytes of CSV for the same cells.

    Attributes
    ----------
    names : tuple of str
    rows : tuple of tuples
        Each as long as ``names``; None is an empty cell.
    """

    names: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def __post_init__(self) -> None:
        for index, row in enumerate(self.rows):
            if len(row) != len(self.names):
                raise ValueError(
                    f"row {index} has {len(row)} cells; the frame has {len(self.names)} columns {self.names}"
                )

    @classmethod
    def of(cls, columns: Mapping[str, Any]) -> Frame:
        """Make a frame from columns (iterables of equal length); a single cell stands in every row.

        Raises
        ------
        ValueError
            If the lengths differ.
        """
        listed = {name: column if _is_cell(column) else list(column) for name, column in columns.items()}
        rows = next((len(column) for column in listed.values() if not _is_cell(column)), 1)
        cells = [[column] * rows if _is_cell(column) else column for column in listed.values()]
        return cls(tuple(columns), tuple(tuple(map(_plain, row)) for row in zip(*cells, strict=True)))

    @classmethod
    def of_rows(cls, rows: Iterable[Mapping[str, Any]]) -> Frame:
        """Make a frame from one mapping per row; all have the keys of the first, in its order."""
        listed = list(rows)
        names = tuple(listed[0]) if listed else ()
        return cls(names, tuple(tuple(_plain(row[name]) for name in names) for row in listed))

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> list[Any]:
        """Cells of one column."""
        index = self.names.index(name)
        return [row[index] for row in self.rows]

    def values(self, name: str) -> NDArray[np.float64]:
        """One column of numbers; an empty cell is NaN."""
        return np.array([np.nan if cell is None else cell for cell in self.column(name)], dtype=np.float64)

    def distinct(self, name: str) -> list[Any]:
        """Different cells of one column, in order of appearance."""
        return list(dict.fromkeys(self.column(name)))

    def where(self, **cells: Cell) -> Frame:
        """Rows whose named columns equal the given cells."""
        wanted = [(self.names.index(name), cell) for name, cell in cells.items()]
        return Frame(self.names, tuple(row for row in self.rows if all(row[i] == cell for i, cell in wanted)))

    def records(self) -> list[dict[str, Any]]:
        """One mapping per row."""
        return [dict(zip(self.names, row, strict=True)) for row in self.rows]

    def csv(self) -> str:
        """The frame as CSV; floats are written so that they are read back to the last bit."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.names)
        writer.writerows([_text(cell) for cell in row] for row in self.rows)
        return text.getvalue()


def concatenate(frames: Iterable[Frame]) -> Frame:
    """The rows of several frames with the same columns."""
    listed = list(frames)
    if len({frame.names for frame in listed}) > 1:
        raise ValueError(f"frames with different columns: {sorted({frame.names for frame in listed})}")
    return Frame(listed[0].names, tuple(row for frame in listed for row in frame.rows))


def _is_cell(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool | np.generic)


def _plain(value: Any) -> Cell:
    if not _is_cell(value):
        raise TypeError(f"a cell is text, a number, a truth value or None; got {type(value).__name__}")
    cell: Cell = value.item() if isinstance(value, np.generic) else value
    return cell


def _text(cell: Cell) -> str:
    match cell:
        case None:
            return ""
        case bool():
            return "true" if cell else "false"
        case float():
            return repr(cell)
        case _:
            return str(cell)
