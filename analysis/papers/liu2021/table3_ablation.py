"""Table 3: what ranking, bias correction and mixed precision each bring, at 8 bits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

from ...framework.workload import Workload
from ...methods.entries import Entry
from ...methods.point import MethodPoint
from ..paper_table import LIU_NAMES, Cell, PaperTable

_MARKS = {False: "×", True: "✓"}


@dataclass(frozen=True)
class Ablation(PaperTable):
    """Options: the models, the number of validation images and the width; the paper's is 8."""

    bits: int = 8
    name: ClassVar[str] = "liu2021.table3"
    title: ClassVar[str] = "Liu et al. Table 3: top-1 with each part of the method"
    names: ClassVar[dict[str, str]] = LIU_NAMES
    columns: ClassVar[tuple[str, ...]] = ("Size", "Top-1")
    note: ClassVar[str] = (
        "Size: packed weights of the quantized operations in MB of 10⁶ bytes; the paper's counts all weights."
    )

    def cells(self, workload: Workload) -> Iterator[Cell]:
        """The float network, then every combination of parts; the similarity is always there."""
        points = {("–",) * 4: MethodPoint(None, None, self.images)}
        for mixed, ranking, bias in product((False, True), repeat=3):
            options = {"ranking": ranking, "bias_correction": bias}
            chosen = Entry("liu2021", "Liu", "liu2021", options, mixed={} if mixed else None)
            row = ("✓", _MARKS[ranking], _MARKS[bias], _MARKS[mixed])
            points[row] = MethodPoint(chosen, self.bits, self.images)
        for row, point in points.items():
            yield Cell(row, "Size", point, "weights_mb")
            yield Cell(row, "Top-1", point)
