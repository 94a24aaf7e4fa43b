"""Top-1, cross-entropy and KL to float of every method, at every width, on every bundled model, over several draws."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..framework import style
from ..framework.frame import Data, Frame
from ..framework.points import UnitOfWork
from ..framework.text_table import Printed
from ..framework.workload import Workload
from .draws import DrawnTable
from .entries import ENTRIES, entry
from .point import MethodPoint


@dataclass(frozen=True)
class MethodAccuracy(DrawnTable):
    """One table of all methods.

    A seed draws the calibration images and whatever is random in a method.  Every point is kept as it is finished, and
    so is every layer, which the mixed precisions of several widths share.

    Attributes
    ----------
    methods : tuple of str
        Lines of the table, by the names of :data:`analysis.methods.entries.ENTRIES`.
    """

    widths: tuple[int, ...] = (8, 6, 4, 3)
    methods: tuple[str, ...] = tuple(ENTRIES)
    images: int = 10_000
    name: ClassVar[str] = "methods.accuracy"
    title: ClassVar[str] = "Every method on every bundled model"

    def __post_init__(self) -> None:
        for name in self.methods:
            entry(name)

    def tasks(self, workload: Workload) -> Iterator[UnitOfWork]:
        """Every cell of the table."""
        for one in self.workloads(workload):
            yield from ((one, point) for _, point in self._points())

    def compute(self, workload: Workload) -> Data:
        """One row per model, width, method and seed."""
        rows = []
        for one in self.workloads(workload):
            with one:
                for method, point in self._points():
                    about = {"model": one.model, "seed": one.seed, "bits": point.bits, "method": method}
                    rows.append(about | point.row(one))
        return {"points": Frame.of_rows(rows)}

    def _points(self) -> Iterator[tuple[str, MethodPoint]]:
        yield "float", MethodPoint(None, None, self.images)
        for bits in self.widths:
            yield from ((name, MethodPoint(entry(name), bits, self.images)) for name in self.methods)

    def printed(self, data: Data) -> Printed:
        """Mean and standard deviation over the seeds; the float network's lines have no deviation."""
        rows = []
        points = data["points"]
        for model in points.distinct("model"):
            for bits in points.distinct("bits"):
                for method in points.where(model=model, bits=bits).distinct("method"):
                    cells = points.where(model=model, bits=bits, method=method)
                    label = style.NAMES["float"] if method == "float" else entry(method).label
                    width = "" if bits is None else style.bits_label(bits, bits)
                    spread = method != "float"
                    rows.append(
                        (
                            model,
                            width,
                            label,
                            _mean(cells.values("top1"), 2, spread),
                            _mean(cells.values("cross_entropy"), 4, spread),
                            _mean(cells.values("kl"), 4, spread) if spread else "",
                        )
                    )
        seeds, images = len(points.distinct("seed")), points.column("images")[0]
        note = (
            f"Mean ± standard deviation over {seeds} draws of calibration images, on {images:,} validation images, by "
            "fake quantization. Top-1 in percent; cross-entropy, and KL(float || quantized), in nats. MP is mixed "
            "precision at the weights' size of the width given; PTQ4ViT+ is chosen on calibration images."
        )
        return Printed(self.title, ("Model", "Bits", "Method", "Top-1", "CE", "KL"), tuple(rows), (note,))


def _mean(values: Any, digits: int, spread: bool) -> str:
    mean = f"{np.mean(values):.{digits}f}"
    return f"{mean} ± {np.std(values, ddof=1):.{digits}f}" if spread and len(values) > 1 else mean
