"""Table 4: top-1 and the time of a calibration with 32 and with 128 images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from ...framework.style import bits_label
from ...framework.workload import Workload
from ...methods.entries import entry
from ...methods.point import MethodPoint
from ...methods.time_point import TimePoint
from ..paper_table import Cell, PaperTable


@dataclass(frozen=True)
class CalibrationImages(PaperTable):
    """Options: the models, the number of validation images, and the numbers of calibration images."""

    counts: tuple[int, ...] = (32, 128)
    name: ClassVar[str] = "ptq4vit.table4"
    title: ClassVar[str] = "PTQ4ViT Table 4: top-1 in percent, and minutes of calibration, by number of images"
    columns: ClassVar[tuple[str, ...]] = ("W8A8", "W6A6", "T")
    note: ClassVar[str] = (
        "T: minutes of one calibration at W6A6, forward and backward pass included; ours on the cores of this machine, "
        "of which two runs measure different values."
    )

    def cells(self, workload: Workload) -> Iterator[Cell]:
        """One row per number of images."""
        method = entry("ptq4vit")
        for count in self.counts:
            row = (str(count),)
            for bits in (8, 6):
                yield Cell(row, bits_label(bits, bits), MethodPoint(method, bits, self.images), images=count)
            yield Cell(row, "T", TimePoint(method, 6), "seconds", factor=1 / 60, images=count)
