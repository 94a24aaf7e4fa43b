"""Table 2: PTQ4ViT beside EasyQuant and Liu et al."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from ...framework.style import bits_label
from ...framework.workload import Workload
from ...methods.entries import entry
from ...methods.point import MethodPoint
from ..paper_table import Cell, PaperTable

_METHODS: Final = {"EasyQuant": "easyquant", "Liu": "liu2021", "Liu (MP)": "liu2021.mixed", "PTQ4ViT": "ptq4vit"}
_ROWS: Final = (
    *((name, method, 8) for name, method in _METHODS.items()),
    *((name, method, 6) for name, method in _METHODS.items()),
    ("Liu (MP)", "liu2021.mixed", 4),
    ("PTQ4ViT", "ptq4vit", 4),
    ("PTQ4ViT + BC", "ptq4vit.bias", 4),
)


@dataclass(frozen=True)
class Methods(PaperTable):
    """Options: the models, the number of validation images, and the calibration images of all methods but PTQ4ViT."""

    many: int = 64
    name: ClassVar[str] = "ptq4vit.table2"
    title: ClassVar[str] = "PTQ4ViT Table 2: post-training quantization methods"
    columns: ClassVar[tuple[str, ...]] = ("Images", "Size", "Top-1")
    digits: ClassVar[dict[str, int]] = {"Images": 0}
    note: ClassVar[str] = (
        "Images: calibration images. Size: packed weights of the quantized operations in MB of 10⁶ bytes; the paper's "
        "counts all weights of the network."
    )

    def cells(self, workload: Workload) -> Iterator[Cell]:
        """The rows of the paper's DeiT-B."""
        yield Cell(("FP32", ""), "Top-1", MethodPoint(None, None, self.images))
        for name, method, bits in _ROWS:
            row, point = (name, bits_label(bits, bits)), MethodPoint(entry(method), bits, self.images)
            count = workload.images if name.startswith("PTQ4ViT") else self.many
            yield Cell(row, "Images", point, "calibration_images", images=count)
            yield Cell(row, "Size", point, "weights_mb", images=count)
            yield Cell(row, "Top-1", point, images=count)
