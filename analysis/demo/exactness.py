"""Outputs of every operation, recomputed by the reference in Python integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ptqsim import ptq

from ..framework.artifact import Table
from ..framework.frame import Data, Frame
from ..framework.style import NAMES, bits_label
from ..framework.text_table import Printed
from ..framework.workload import Setting, Workload


@dataclass(frozen=True)
class Exactness(Table):
    """Options: the method, the widths, and how many outputs of each operation are recomputed."""

    method: str = "ptq4vit"
    widths: tuple[int, ...] = (8,)
    outputs: int = 10_000
    name: ClassVar[str] = "demo.exactness"
    title: ClassVar[str] = "Outputs recomputed by the reference in Python integers"

    def compute(self, workload: Workload) -> Data:
        """One row per width and operation."""
        classes = workload.network(workload.calibration_images[:1]).shape[1]
        # the classifier has the fewest outputs: one per class and image
        images, _ = workload.validation.read(range(-(-self.outputs // classes)))
        rows = []
        for bits in self.widths:
            setting = Setting(self.method, bits, bits)
            with workload.progress(f"{setting.label}, exactness", "image") as report:
                checks = ptq.verify(
                    workload.quantized(setting),
                    images,
                    outputs=self.outputs,
                    seed=workload.seed,
                    progress=report,
                )
            for layer, check in checks.items():
                rows.append(
                    {
                        "method": self.method,
                        "w_bits": bits,
                        "a_bits": bits,
                        "layer": layer,
                        "outputs": check.outputs,
                        "mismatches": check.mismatches,
                        "first_mismatch": check.first,
                    }
                )
        return {"checks": Frame.of_rows(rows)}

    def printed(self, data: Data) -> Printed:
        """One line per setting, and one per operation with a mismatch."""
        checks = data["checks"]
        rows = []
        for bits in checks.distinct("w_bits"):
            shown = checks.where(w_bits=bits)
            outputs = shown.column("outputs")
            label = f"{NAMES[self.method]} {bits_label(bits, bits)}"
            counts = (len(shown), f"{min(outputs):,}", f"{sum(outputs):,}", sum(shown.column("mismatches")))
            rows.append((label, *map(str, counts)))
        columns = ("Setting", "Operations", "Outputs each", "In all", "Mismatches")
        wrong = [
            f"{row['layer']}: {row['mismatches']} mismatches, the first at {row['first_mismatch']}"
            for row in checks.records()
            if row["mismatches"]
        ]
        return Printed(self.title, columns, tuple(rows), tuple(wrong))


def mismatches(data: Data) -> int:
    """Outputs that the reference disagrees with; anything but zero is a defect."""
    return sum(data["checks"].column("mismatches"))
