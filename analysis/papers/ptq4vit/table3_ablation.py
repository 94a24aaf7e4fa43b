"""Table 3: what the Hessian guided metric and the two twin formats each bring."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from ...framework.style import bits_label
from ...framework.workload import Workload
from ...methods.entries import Entry, entry
from ...methods.point import MethodPoint
from ..paper_table import Cell, PaperTable

_ROWS: Final[dict[tuple[str, str, str], str]] = {
    ("", "", ""): "base_ptq",
    ("✓", "", ""): "ptq4vit.hessian",
    ("✓", "✓", ""): "ptq4vit.softmax",
    ("✓", "", "✓"): "ptq4vit.gelu",
    ("", "✓", "✓"): "ptq4vit.twin",
    ("✓", "✓", "✓"): "ptq4vit",
}


@dataclass(frozen=True)
class Ablation(PaperTable):
    """Options: the models, the number of validation images, and the widths of weights and activations.

    Narrower widths than the paper's 8 and 6 have no column in it.
    """

    name: ClassVar[str] = "ptq4vit.table3"
    title: ClassVar[str] = "PTQ4ViT Table 3: top-1 with each part of PTQ4ViT, in percent"
    columns: ClassVar[tuple[str, ...]] = ("W8A8", "W6A6")
    note: ClassVar[str] = (
        "Without any part: Base PTQ, as Table 1's numbers show. Without the Hessian guided metric: cosine."
    )

    def cells(self, workload: Workload) -> Iterator[Cell]:
        """One row per combination of parts."""
        for row, method in _ROWS.items():
            chosen: Entry = entry(method)
            for bits in (8, 6):
                yield Cell(row, bits_label(bits, bits), MethodPoint(chosen, bits, self.images))
