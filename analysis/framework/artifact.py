"""Figures and tables: compute the data, then draw or print it, and write it all with its provenance."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ptqsim.common import files, strict_json
from ptqsim.ptq.zoo.detector_names import DETECTORS

from . import provenance, style
from .frame import Data
from .points import UnitOfWork
from .text_table import Printed
from .workload import Workload

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

# Dates in a picture would make two runs differ.
_METADATA: dict[str, dict[str, None]] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}


def kind_of(model: str) -> str:
    """``detector`` or ``classifier``, by the model's name."""
    return "detector" if model in DETECTORS else "classifier"


@dataclass(frozen=True)
class Artifact(ABC):
    """One figure or table.  The fields of a subclass are its options; they are part of what its data is kept under.

    Attributes
    ----------
    name : str
        As the command line calls it: ``paper.figure``.
    title : str
        One line.
    needs_model : bool
        False if the data follows from the formats alone.
    networks : tuple of str
        Kinds of network that it can be made from: ``classifier``, ``detector``.
    suffixes : tuple of str
        Of its files, besides CSV and JSON.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    needs_model: ClassVar[bool] = True
    networks: ClassVar[tuple[str, ...]] = ("classifier",)
    suffixes: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def compute(self, workload: Workload) -> Data:
        """The data behind the artifact; long parts show their progress through the workload."""

    @abstractmethod
    def files(self, data: Data) -> dict[str, bytes]:
        """The artifact in each of its file formats, by file name suffix."""

    def key(self, workload: Workload) -> dict[str, Any]:
        """Everything that decides the data, besides the code."""
        options = json.loads(json.dumps(asdict(self)))
        return {"options": options, **(workload.key() if self.needs_model else {})}

    def tasks(self, workload: Workload) -> Iterable[UnitOfWork]:
        """Points to compute in parallel, which `compute` then finds in the store; by default the whole artifact."""
        return [(workload, self)]

    def data(self, workload: Workload) -> Data:
        """The kept data; computed and kept if there is none."""
        return workload.store.data(self.name, self.key(workload), lambda: self.compute(workload))

    def make(self, workload: Workload, directory: Path) -> Data:
        """Compute (or take from the workload's store), draw, and write everything into ``directory``.

        Writes the artifact in each format, one CSV file per frame, and the provenance as JSON.
        """
        key = self.key(workload)
        data = self.data(workload)
        content = self.files(data)
        for frame, cells in data.items():
            content[f".{frame}.csv"] = cells.csv().encode()
        about = provenance.record(self.name, self.title, key, data)
        content[".json"] = (strict_json.dumps(about, indent=2) + "\n").encode()
        for suffix, written in content.items():
            files.write(directory / f"{self.name}{suffix}", written)
        return data


class Figure(Artifact):
    """Something with a picture: PDF, SVG and PNG."""

    suffixes: ClassVar[tuple[str, ...]] = tuple(f".{kind}" for kind in _METADATA)

    @abstractmethod
    def render(self, data: Data) -> Drawing:
        """Draw the data; called with the style applied."""

    def files(self, data: Data) -> dict[str, bytes]:
        """The picture in each format, the same bytes for the same data."""
        files = {}
        with style.applied():
            drawing = self.render(data)
            for kind, metadata in _METADATA.items():
                buffer = BytesIO()
                drawing.savefig(buffer, format=kind, metadata=metadata)
                files[f".{kind}"] = buffer.getvalue()
        return files


class Table(Artifact):
    """Something with rows to read: the terminal, Markdown and LaTeX.  Its CSV is the data."""

    suffixes: ClassVar[tuple[str, ...]] = (".md", ".tex")

    @abstractmethod
    def printed(self, data: Data) -> Printed:
        """Format the cells."""

    def files(self, data: Data) -> dict[str, bytes]:
        """The table in Markdown and LaTeX."""
        printed = self.printed(data)
        return {".md": printed.markdown().encode(), ".tex": printed.latex().encode()}


class IllustratedTable(Figure, Table):
    """Something with both."""

    suffixes: ClassVar[tuple[str, ...]] = (*Figure.suffixes, *Table.suffixes)

    def files(self, data: Data) -> dict[str, bytes]:
        """The picture and the table."""
        return Figure.files(self, data) | Table.files(self, data)
