"""Accuracy against the width of the accumulators of layers with weights: weights that fit, beside overflow.

Products of two activations, which cannot be fitted, are exact in every case.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from matplotlib.ticker import MaxNLocator, NullFormatter

import ptqsim as pq
from ptqsim import ptq
from ptqsim.ptq.calibration.rounding.fit import Fit, FitMethod, fit_network

from ..framework import style
from ..framework.artifact import IllustratedTable
from ..framework.frame import Data, Frame
from ..framework.points import UnitOfWork, WorkPoint
from ..framework.text_table import Printed
from ..framework.workload import Setting, Workload
from .observe import WIDEST

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

WAYS: Final = ("wrap", "saturate", "project", "compensate")
"""Overflow of weights as they are, in two modes; and weights fitted in two ways, which trap nothing."""


@dataclass(frozen=True)
class FittedPoint(WorkPoint):
    """Accuracy with one width of the accumulators of layers with weights.

    Attributes
    ----------
    way : str
        One of `WAYS`.
    width : int
        Bits of the accumulator.
    method : str
    bits : int
        Of weights and activations.
    alignment : str
        Of twin formats.
    images : int
        Validation images.
    """

    kind: ClassVar[str] = "fitted_point"

    way: str
    width: int
    method: str
    bits: int
    alignment: str
    images: int

    def compute(self, workload: Workload) -> Data:
        """Top-1 and divergence from the float network; None where weights of that width cannot be fitted."""
        row = {"way": self.way, "width": self.width, "images": self.images, "top1": None, "kl": None, "changed": 0}
        quantized = workload.quantized(Setting(self.method, self.bits, self.bits))
        label = f"{style.NAMES[self.way]}, {self.width} bits"
        overflow = self.way if self.way in ("wrap", "saturate") else "trap"
        unit = pq.Accumulator(self.width, overflow, alignment=self.alignment)
        if overflow == "trap":
            with workload.progress(f"{label}, fit", "layer") as report:
                try:
                    fit_network(quantized, workload.captured, Fit(unit, FitMethod(self.way)), report)
                except ValueError as error:
                    if "cannot be fitted" not in str(error):
                        raise
                    return {"point": Frame.of_rows([row])}
        weighted = {name for name, op in quantized.layers.items() if op.constant_b is not None}
        quantized.accumulator = pq.Accumulator(WIDEST, alignment=self.alignment)
        quantized.accumulator = dict.fromkeys(weighted, unit)
        quantized.mode = "integer"
        with workload.progress(label, "image") as report:
            found = ptq.evaluate(quantized, workload.validation, limit=self.images, progress=report)
        exact = workload.evaluated(None, "float", self.images)
        row |= {"top1": found.top1, "kl": ptq.difference(found, exact).metrics["kl"]}
        row["changed"] = sum(bool(_report(quantized, name).get("channels")) for name in weighted)
        return {"point": Frame.of_rows([row])}


def _report(quantized: ptq.QuantizedModel, name: str) -> dict[str, Any]:
    found: Any = quantized.layers[name].report.get("fit", {})
    return dict(found)


@dataclass(frozen=True)
class FittedWidth(IllustratedTable):
    """Options.

    Attributes
    ----------
    method : str
    bits : int
        Of weights and activations.
    widths : tuple of int
        Widths of the accumulators.
    ways : tuple of str
        Overflow modes of unfitted weights, and ways to fit weights.
    alignment : str
        Of twin formats: "product", "operand" or "deferred".
    images : int
        Validation images.
    """

    method: str = "ptq4vit"
    bits: int = 8
    widths: tuple[int, ...] = (10, 12, 14, 16, 18, 20)
    ways: tuple[str, ...] = WAYS
    alignment: str = "deferred"
    images: int = 2000
    name: ClassVar[str] = "simulator.fitted_width"
    title: ClassVar[str] = "Top-1 against the width of accumulators, with weights that fit and without"

    def _points(self) -> Iterator[FittedPoint]:
        for width in self.widths:
            for way in self.ways:
                yield FittedPoint(way, width, self.method, self.bits, self.alignment, self.images)

    def tasks(self, workload: Workload) -> Iterator[UnitOfWork]:
        """Every point."""
        yield from ((workload, point) for point in self._points())

    def compute(self, workload: Workload) -> Data:
        """One row per width and way; and top-1 of the float network and of the quantized one in wide registers."""
        rows = [point.row(workload) for point in self._points()]
        exact = workload.evaluated(Setting(self.method, self.bits, self.bits), "integer", self.images)
        known = {"float": workload.evaluated(None, "float", self.images).top1, "exact": exact.top1}
        return {
            "points": Frame.of_rows(rows),
            "known": Frame.of({"what": known.keys(), "top1": known.values()}),
        }

    def printed(self, data: Data) -> Printed:
        """One line per width: top-1 and divergence of every way."""
        points, rows = data["points"], []
        for width in sorted(set(points.column("width")), reverse=True):
            cells: list[str] = []
            for way in self.ways:
                (row,) = points.where(width=width, way=way).records()
                cells.append("" if row["top1"] is None else f"{row['top1']:.2f}, {row['kl']:.3f}")
            rows.append((str(width), *cells))
        known = {row["what"]: row["top1"] for row in data["known"].records()}
        note = (
            f"Top-1 in % and KL(float || quantized) in nats on {points.column('images')[0]:,} validation images. Float "
            f"{known['float']:.2f} %, exact integers {known['exact']:.2f} %. Empty: the width leaves some weights "
            "nothing but 0. Products of two activations are exact."
        )
        label = f"{style.NAMES[self.method]} {style.bits_label(self.bits, self.bits)}, {self.alignment} alignment"
        return Printed(f"{self.title}, {label}", ("P", *(style.NAMES[way] for way in self.ways)), tuple(rows), (note,))

    def render(self, data: Data) -> Drawing:
        """Top-1 above, divergence below; one curve for each way."""
        figure, (upper, lower) = style.panels(2, 1, height=3.3, sharex=True)
        points = data["points"]
        for way in self.ways:
            look, shown = style.LOOKS[way], [row for row in points.where(way=way).records() if row["top1"] is not None]
            shown.sort(key=lambda row: row["width"])
            widths = [row["width"] for row in shown]
            for axes, values in ((upper, "top1"), (lower, "kl")):
                axes.plot(
                    widths, [row[values] for row in shown], color=look.color, linestyle=look.line, marker=look.marker,
                    label=look.label,
                )  # fmt: skip
        exact = next(row["top1"] for row in data["known"].records() if row["what"] == "exact")
        upper.axhline(exact, color=style.GREY, linewidth=0.7, zorder=0, label="Exact integers")
        upper.set_ylabel("top-1 / %")
        upper.set_ylim(bottom=0)
        lower.set_ylabel("KL to float / nats")
        lower.set_yscale("log")
        lower.yaxis.set_minor_formatter(NullFormatter())
        lower.set_xlabel("accumulator width $P$ / bits")
        lower.xaxis.set_major_locator(MaxNLocator(integer=True))
        upper.legend(loc="lower center", bbox_to_anchor=(0.45, 1.02), ncols=3)
        return figure
