"""Table 4: mixed precision by the nuclear norm and by the Hessian, with the time that each takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from ...framework.workload import Workload
from ...methods.entries import entry
from ...methods.point import MethodPoint
from ...methods.time_point import TimePoint
from ..paper_table import LIU_NAMES, Cell, PaperTable


@dataclass(frozen=True)
class MixedPrecision(PaperTable):
    """Options: the models, the number of validation images and the width; the paper's is 8."""

    bits: int = 8
    name: ClassVar[str] = "liu2021.table4"
    title: ClassVar[str] = "Liu et al. Table 4: mixed precision by the Hessian and by the nuclear norm"
    names: ClassVar[dict[str, str]] = LIU_NAMES
    columns: ClassVar[tuple[str, ...]] = ("Size", "Time", "Top-1")
    digits: ClassVar[dict[str, int]] = {"Time": 1}
    note: ClassVar[str] = (
        "Time: seconds; ours of the sensitivities and the choice of widths, with all layers calibrated at all widths "
        "beforehand, on the cores of this machine, of which two runs measure different values; the paper does not say "
        "what its time is of."
    )

    def cells(self, workload: Workload) -> Iterator[Cell]:
        """One row per sensitivity."""
        for name, method in (("Hessian-based", "liu2021.mixed_hessian"), ("Liu (MP)", "liu2021.mixed")):
            point = MethodPoint(entry(method), self.bits, self.images)
            yield Cell((name,), "Size", point, "weights_mb")
            yield Cell((name,), "Time", TimePoint(entry(method), self.bits, prepared=True), "seconds")
            yield Cell((name,), "Top-1", point)
