"""Table 1: image classification by four methods, and by Liu et al. with mixed precision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from ...framework.workload import Workload
from ...methods.entries import entry
from ...methods.point import MethodPoint
from ..paper_table import LIU_NAMES, Cell, PaperTable

_METHODS: Final = {
    "Percentile": "percentile",
    "EasyQuant": "easyquant",
    "Bit-Split": "bit_split",
    "Liu": "liu2021",
    "Liu (MP)": "liu2021.mixed",
}


@dataclass(frozen=True)
class Classification(PaperTable):
    """Options.

    Attributes
    ----------
    models, images : tuple of str and int or None
        As in every table of a paper.
    dataset : str
        What the paper calls the data named (CIFAR-10, CIFAR-100, ImageNet), so that rows of the same data meet; if
        empty, the data's own name.
    """

    dataset: str = ""
    name: ClassVar[str] = "liu2021.table1"
    title: ClassVar[str] = "Liu et al. Table 1: image classification"
    names: ClassVar[dict[str, str]] = LIU_NAMES
    columns: ClassVar[tuple[str, ...]] = ("Size", "Top-1")
    note: ClassVar[str] = (
        "Size: packed weights of the quantized operations in MB of 10⁶ bytes; the paper's counts all weights. Its "
        "ViT-B and ViT-L on ImageNet are of other weights than timm's default ones. Part of the table is not "
        "legible in the copy at hand."
    )

    def cells(self, workload: Workload) -> Iterator[Cell]:
        """The float network, then every method at 6, 8 and, with mixed precision, 4 bits."""
        data = self.dataset or workload.validation.name
        points = {(data, "Baseline", ""): MethodPoint(None, None, self.images)}
        for bits in (6, 8, 4):
            for name, method in _METHODS.items():
                if bits != 4 or name == "Liu (MP)":
                    points[data, name, str(bits)] = MethodPoint(entry(method), bits, self.images)
        for row, point in points.items():
            yield Cell(row, "Size", point, "weights_mb")
            yield Cell(row, "Top-1", point)
