"""Appendix 6.4: how far top-1 varies with the draw of the calibration images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from ...framework.artifact import Table
from ...framework.frame import Data, Frame
from ...framework.points import UnitOfWork
from ...framework.style import bits_label
from ...framework.text_table import Printed
from ...framework.workload import Workload, bundled_models
from ...methods.entries import entry
from ...methods.point import MethodPoint
from ..paper_table import PAPER_NAMES
from ..published import published


@dataclass(frozen=True)
class Draws(Table):
    """Options.

    Attributes
    ----------
    models : tuple of str
        The first bundled one by default.
    draws : int
        Of calibration images: as many seeds, from the workload's on.
    bits : int
        Of weights and activations.
    images : int
        Validation images.
    """

    models: tuple[str, ...] = field(default_factory=lambda: bundled_models()[:1])
    draws: int = 20
    bits: int = 8
    images: int = 1000
    name: ClassVar[str] = "ptq4vit.draws"
    title: ClassVar[str] = "PTQ4ViT appendix 6.4: top-1 over draws of the calibration images"

    def key(self, workload: Workload) -> dict[str, Any]:
        """The options, and every model; the draws are the seeds from that of the workload on."""
        options = Table.key(self, replace(workload, model=self.models[0]))["options"]
        return {"options": options, "workloads": [replace(workload, model=m).key() for m in self.models]}

    def _workloads(self, workload: Workload) -> Iterator[Workload]:
        for model in self.models:
            for draw in range(self.draws):
                yield replace(workload, model=model, seed=workload.seed + draw)

    def _point(self) -> MethodPoint:
        return MethodPoint(entry("ptq4vit"), self.bits, self.images)

    def tasks(self, workload: Workload) -> Iterator[UnitOfWork]:
        """Every draw."""
        yield from ((one, self._point()) for one in self._workloads(workload))

    def compute(self, workload: Workload) -> Data:
        """One row per model and draw."""
        rows = []
        for one in self._workloads(workload):
            with one:
                found = {key: self._point().row(one)[key] for key in ("images", "top1", "cross_entropy")}
                rows.append({"model": one.model, "seed": one.seed, **found})
        return {"draws": Frame.of_rows(rows)}

    def printed(self, data: Data) -> Printed:
        """Mean and standard deviation of ours, then the paper's."""
        theirs = published(self.name)
        rows: list[tuple[str, ...]] = []
        named = set()
        for model in data["draws"].distinct("model"):
            top1 = data["draws"].where(model=model).values("top1")
            name = PAPER_NAMES.get(model, model)
            named.add(name)
            std = f"{top1.std(ddof=1):.3f}" if len(top1) > 1 else ""
            rows.append((name, f"{top1.mean():.2f}", std, *_paper(theirs.value((name,), c) for c in theirs.columns)))
        for (name,) in theirs.rows:
            if name not in named:
                rows.append((name, "", "", *_paper(theirs.value((name,), c) for c in theirs.columns)))
        notes = (
            f"Ours: {self.draws} draws, {bits_label(self.bits, self.bits)}, {data['draws'].column('images')[0]:,} "
            f"validation images. Paper: {theirs.source}; {theirs.setting}. An empty cell was not measured, or not "
            "printed.",
        )
        return Printed(
            self.title, ("Model", "Mean, ours", "Std, ours", "Mean, paper", "Std, paper"), tuple(rows), notes
        )


def _paper(values: Iterable[float | None]) -> list[str]:
    mean, std = values
    return ["" if mean is None else f"{mean:.2f}", "" if std is None else f"{std:.3f}"]
