"""Tables of the papers: what we measured beside what they print, cell by cell, and what differs in the setting."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final

from ..framework.artifact import Table
from ..framework.frame import Data, Frame
from ..framework.points import UnitOfWork, WorkPoint
from ..framework.text_table import Printed
from ..framework.workload import Workload, bundled_models
from .published import Published, Row, published

PAPER_NAMES: Final[dict[str, str]] = {
    "vit_small_patch32": "ViT-S/224/32",
    "vit_small": "ViT-S/224",
    "vit_base": "ViT-B/224",
    "vit_base_384": "ViT-B/384",
    "deit_small": "DeiT-S/224",
    "deit_base": "DeiT-B/224",
    "deit_base_384": "DeiT-B/384",
    "swin_tiny": "Swin-T/224",
    "swin_small": "Swin-S/224",
    "swin_base": "Swin-B/224",
    "swin_base_384": "Swin-B/384",
}
"""PTQ4ViT's names of networks, by ours."""
LIU_NAMES: Final[dict[str, str]] = {
    "vit_base": "ViT-B",
    "vit_large": "ViT-L",
    "deit_small": "DeiT-S",
    "deit_base": "DeiT-B",
}
"""The same of Liu et al."""
_ACCURACIES: Final = ("top1", "mAP")
"""Values of a point that its divergence from the float network belongs to."""
_SIDE_BY_SIDE: Final = 3
"""Up to so many columns, theirs stands right of ours; above, in a line below it."""


@dataclass(frozen=True)
class Cell:
    """A number to be measured.

    Attributes
    ----------
    row : tuple of str
        Labels, without that of the model.
    column : str
    point : WorkPoint
        What gives it.
    value : str
        Which of the point's values it is.
    factor : float
        From the point's unit to the column's.
    images : int or None
        Calibration images; the workload's if None.
    """

    row: Row
    column: str
    point: WorkPoint
    value: str = "top1"
    factor: float = 1.0
    images: int | None = None


@dataclass(frozen=True)
class PaperTable(Table):
    """A table of a paper, measured on models of ours.

    Rows of models that were not measured show the paper's numbers and empty cells, and rows of models that are not in
    the paper the reverse: no number ever moves from one side to the other.

    Attributes
    ----------
    models : tuple of str
        Every bundled one by default.
    images : int
        Validation images.
    """

    models: tuple[str, ...] = field(default_factory=bundled_models)
    images: int = 2000
    names: ClassVar[dict[str, str]] = PAPER_NAMES
    columns: ClassVar[tuple[str, ...]]
    digits: ClassVar[dict[str, int]] = {}
    note: ClassVar[str] = ""
    timed: ClassVar[bool] = False

    @property
    def theirs(self) -> Published:
        """The paper's table."""
        return published(self.name)

    @abstractmethod
    def cells(self, workload: Workload) -> Iterable[Cell]:
        """Measurements of one model, row by row."""

    def key(self, workload: Workload) -> dict[str, Any]:
        """The options, and every model."""
        options = Table.key(self, replace(workload, model=self.models[0]))["options"]
        return {"options": options, "workloads": [one.key() for one in self._workloads(workload)]}

    def tasks(self, workload: Workload) -> Iterator[UnitOfWork]:
        """Every point that takes its time on the clock into no cell: those that do need the machine for themselves."""
        for one in self._workloads(workload):
            for cell in self.cells(one):
                if not getattr(cell.point, "timed", False):
                    yield _with_images(one, cell), cell.point

    def compute(self, workload: Workload) -> Data:
        """One row per cell, ours and theirs; either may be empty."""
        rows = []
        labels = self.theirs.labels[1:]
        measured: set[Row] = set()
        for one in self._workloads(workload):
            with ExitStack() as stack:
                name = self.names.get(one.model, one.model)
                # one for each number of calibration images, which its points share, with what was captured of them
                sources = {one.images: stack.enter_context(one)}
                for cell in self.cells(one):
                    source = _with_images(one, cell)
                    if source.images not in sources:
                        sources[source.images] = stack.enter_context(source)
                    found = cell.point.row(sources[source.images])
                    ours = cell.factor * found[cell.value]
                    theirs = self.theirs.value((name, *cell.row), cell.column)
                    kl = found.get("kl") if cell.value in _ACCURACIES else None
                    rows.append(_line(name, labels, cell.row, cell.column, ours, theirs, kl))
                    measured.add((name, *cell.row))
        for row in self.theirs.rows:
            if row not in measured:
                values = [(column, self.theirs.value(row, column)) for column in self.columns]
                rows += [_line(row[0], labels, row[1:], column, None, value, None) for column, value in values]
        validation = self._workloads(workload)[0].validation
        about = {"validation": validation.name, "images": min(self.images, len(validation))}
        about |= {"calibration_images": workload.images, "seed": workload.seed, "models": ", ".join(self.models)}
        return {"cells": Frame.of_rows(rows), "setting": Frame.of_rows([about])}

    def _workloads(self, workload: Workload) -> list[Workload]:
        return [replace(workload, model=model) for model in self.models]

    def printed(self, data: Data) -> Printed:
        """Ours and theirs, with what differs, and the divergence of ours from the float network."""
        labels = self.theirs.labels
        table: dict[Row, dict[str, dict[str, Any]]] = {}
        for row in data["cells"].records():
            table.setdefault(tuple(str(row[label]) for label in labels), {})[row["column"]] = row
        diverging = {row["column"] for row in data["cells"].records() if row["kl"] is not None}
        beside = len(self.columns) <= _SIDE_BY_SIDE
        lines: list[tuple[str, ...]] = []
        for key, cells in table.items():
            ours, paper, kl = (
                [self._text(column, cells.get(column, {}).get(side), side) for column in self.columns]
                for side in ("ours", "paper", "kl")
            )
            if beside:
                shown = zip(self.columns, ours, paper, kl, strict=True)
                lines.append((*key, *(text for c, *texts in shown for text in texts[: 3 if c in diverging else 2])))
                continue
            for source, texts in (("ours", ours), ("paper", paper), ("ours, KL", kl)):
                if any(texts):
                    lines.append((*key, source, *texts))
        if beside:
            headings = [
                heading
                for column in self.columns
                for heading in (f"{column}, ours", "paper", *(["KL, ours"] if column in diverging else []))
            ]
        else:
            headings = ["", *self.columns]
        return Printed(self.title, (*labels, *headings), tuple(lines), self._notes(data))

    def _text(self, column: str, value: float | None, side: str) -> str:
        digits = 4 if side == "kl" else self.digits.get(column, 2)
        return "" if value is None else f"{value:.{digits}f}"

    def _notes(self, data: Data) -> tuple[str, ...]:
        (setting,) = data["setting"].records()
        ours = (
            f"Ours: {setting['models']}; {setting['validation']}, {setting['images']:,} validation images; "
            f"{setting['calibration_images']} calibration images unless the table names another number, seed "
            f"{setting['seed']}."
        )
        theirs = f"Paper: {self.theirs.source}; {self.theirs.setting}. An empty cell was not measured, or not printed."
        kl = "KL: mean divergence KL(float || quantized) over the validation images, in nats."
        diverging = any(row["kl"] is not None for row in data["cells"].records())
        return tuple(note for note in (ours, theirs, kl if diverging else "", self.note) if note)


def _with_images(workload: Workload, cell: Cell) -> Workload:
    if cell.images in (None, workload.images):
        return workload
    return replace(workload, images=cell.images)


def _line(
    model: str,
    labels: Sequence[str],
    row: Row,
    column: str,
    ours: float | None,
    theirs: float | None,
    kl: float | None,
) -> dict[str, Any]:
    values = {"column": column, "ours": ours, "paper": theirs, "kl": kl}
    return {"Model": model, **dict(zip(labels, row, strict=True)), **values}
