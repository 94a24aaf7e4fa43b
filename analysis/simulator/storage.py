"""Storage against accuracy: what a bit of an activation buys in each format, PWLQ's extra bit counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from matplotlib.ticker import MaxNLocator

from ptqsim.errors import unknown_name

from ..framework import style
from ..framework.activations import TITLES, Special
from ..framework.artifact import IllustratedTable
from ..framework.frame import Data, concatenate
from ..framework.points import UnitOfWork
from ..framework.text_table import Printed
from ..framework.workload import Workload
from ..methods.point import MethodPoint
from .operands import FAMILIES, OperandPoint, legal_families

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


@dataclass(frozen=True)
class Storage(IllustratedTable):
    """Options.

    Attributes
    ----------
    formats : tuple of str
        uniform, twin, log2, pwlq.
    widths : tuple of int
        Widths k as the papers count them; PWLQ stores one bit more.
    images : int
        Validation images.
    """

    formats: tuple[str, ...] = ("uniform", "twin", "log2", "pwlq")
    widths: tuple[int, ...] = (3, 4, 5, 6, 8)
    images: int = 500
    name: ClassVar[str] = "simulator.storage"
    title: ClassVar[str] = "Storage of post-softmax and post-GELU values against accuracy"

    def __post_init__(self) -> None:
        for family in self.formats:
            if family not in FAMILIES:
                raise unknown_name("format", family, FAMILIES)

    def _points(self) -> Iterator[OperandPoint]:
        operands: tuple[Special, ...] = ("softmax", "gelu")
        for operand in operands:
            for family in legal_families(operand, self.formats):
                for bits in self.widths:
                    yield OperandPoint(operand, family, bits, self.images)

    def tasks(self, workload: Workload) -> Iterator[UnitOfWork]:
        """Every point."""
        yield from ((workload, point) for point in self._points())

    def compute(self, workload: Workload) -> Data:
        """One row per operand, format and width, and the float network's top-1."""
        found = [point.data(workload) for point in self._points()]
        points = concatenate([data["point"] for data in found])
        return {"points": points, "float": MethodPoint(None, None, self.images).data(workload)["point"]}

    def printed(self, data: Data) -> Printed:
        """One line per format and width."""
        rows = [
            (
                TITLES[row["operand"]],
                style.NAMES[row["family"]],
                str(row["bits"]),
                str(row["storage_bits"]),
                f"{row['top1']:.2f}",
                f"{1e3 * row['task_loss_excess']:.2f}",
            )
            for row in data["points"].records()
        ]
        images = data["points"].column("images")[0]
        note = (
            f"These operands alone are quantized, in every layer, everything else is float; {images:,} "
            f"validation images, on which the float network's top-1 is {data['float'].column('top1')[0]:.2f}. Loss: "
            "10⁻³ nats above the float network's. Log2 has no negative values."
        )
        return Printed(self.title, ("Operand", "Format", "k", "Bits", "Top-1", "Loss"), tuple(rows), (note,))

    def render(self, data: Data) -> Drawing:
        """Task loss against stored bits, one panel per operand."""
        figure, axes = style.panels(1, 2, height=1.9, sharey=True)
        points = data["points"]
        for panel, operand in zip(axes, points.distinct("operand"), strict=True):
            for family in points.where(operand=operand).distinct("family"):
                look, shown = style.LOOKS[family], points.where(operand=operand, family=family)
                panel.plot(
                    shown.values("storage_bits"), shown.values("task_loss_excess"), color=look.color,
                    linestyle=look.line, marker=look.marker, label=look.label,
                )  # fmt: skip
            panel.set_yscale("log")
            panel.set_title(TITLES[operand])
            panel.set_xlabel("stored bits per value")
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes[0].set_ylabel("task loss above FP32 / nats")
        handles = {label: handle for a in axes for handle, label in zip(*a.get_legend_handles_labels(), strict=True)}
        figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=len(handles))
        return figure
