"""Table 2: object detection with DETR by four methods, and by Liu et al. with mixed precision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from ...framework.workload import Workload
from ...methods.entries import entry
from ...methods.point import MethodPoint
from ..paper_table import Cell, PaperTable

_METHODS: Final = {
    "Percentile": "percentile",
    "EasyQuant": "easyquant",
    "Bit-Split": "bit_split",
    "Liu": "liu2021",
    "Liu (MP)": "liu2021.mixed",
    "PTQ4ViT": "ptq4vit",
    "PTQ4ViT+": "ptq4vit_plus",
}


@dataclass(frozen=True)
class Detection(PaperTable):
    """Options: the detectors, the number of validation images, and the widths."""

    models: tuple[str, ...] = ("detr_digits",)
    images: int = 1000
    widths: tuple[int, ...] = (6, 8)
    name: ClassVar[str] = "liu2021.table2"
    title: ClassVar[str] = "Liu et al. Table 2: object detection"
    names: ClassVar[dict[str, str]] = {"detr_resnet_50": "DETR"}
    columns: ClassVar[tuple[str, ...]] = ("Size", "mAP")
    networks: ClassVar[tuple[str, ...]] = ("detector",)
    note: ClassVar[str] = (
        "Size: packed weights of the quantized operations in MB of 10⁶ bytes. PTQ4ViT and PTQ4ViT+ are not in the "
        "paper; their metric takes the detection loss against the float network's own predictions."
    )

    def cells(self, workload: Workload) -> Iterator[Cell]:
        """The float network, then every method at every width."""
        points = {("Baseline", ""): MethodPoint(None, None, self.images)}
        for bits in self.widths:
            for name, method in _METHODS.items():
                points[name, str(bits)] = MethodPoint(entry(method), bits, self.images)
        for row, point in points.items():
            yield Cell(row, "Size", point, "weights_mb")
            yield Cell(row, "mAP", point, "mAP")
