"""Table 1: top-1 of Base PTQ and PTQ4ViT at 8 and 6 bits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from ...framework.style import NAMES, bits_label
from ...framework.workload import Workload
from ...methods.entries import entry
from ...methods.point import MethodPoint
from ..paper_table import Cell, PaperTable


@dataclass(frozen=True)
class QuantizedAccuracy(PaperTable):
    """Options: the models and the number of validation images."""

    name: ClassVar[str] = "ptq4vit.table1"
    title: ClassVar[str] = "PTQ4ViT Table 1: top-1 of quantized vision transformers, in percent"
    columns: ClassVar[tuple[str, ...]] = ("FP32", "Base PTQ W8A8", "Base PTQ W6A6", "PTQ4ViT W8A8", "PTQ4ViT W6A6")

    def cells(self, workload: Workload) -> Iterator[Cell]:
        """One row per model."""
        yield Cell((), "FP32", MethodPoint(None, None, self.images))
        for method in ("base_ptq", "ptq4vit"):
            for bits in (8, 6):
                column = f"{NAMES[method]} {bits_label(bits, bits)}"
                yield Cell((), column, MethodPoint(entry(method), bits, self.images))
