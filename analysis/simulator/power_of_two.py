"""The cost of tying the two scales of a GELU format by a power of two (PTQ4ViT section 3.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from matplotlib.ticker import NullFormatter

from ..framework import style
from ..framework.artifact import IllustratedTable
from ..framework.frame import Data, concatenate
from ..framework.points import UnitOfWork
from ..framework.text_table import Printed
from ..framework.workload import Workload
from .operands import OperandPoint

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

PAIRS = ("twin", "covering", "free")


@dataclass(frozen=True)
class PowerOfTwo(IllustratedTable):
    """Three pairs of scales.

    The paper's: R1 fixed, R2 a power of two above it.  The covering one: R2 on a fine grid, R1 a power of two below it.
    The released code's: R1 fixed, R2 on a fine grid, free of R1.

    Attributes
    ----------
    widths : tuple of int
    images : int
        Validation images.
    """

    widths: tuple[int, ...] = (3, 4, 5, 6, 8)
    images: int = 500
    name: ClassVar[str] = "simulator.power_of_two"
    title: ClassVar[str] = "Cost of the power of two between the scales of a GELU format"

    def tasks(self, workload: Workload) -> Iterator[UnitOfWork]:
        """Every point."""
        yield from ((workload, point) for point in self._points())

    def _points(self) -> Iterator[OperandPoint]:
        yield from (OperandPoint("gelu", pair, bits, self.images) for pair in PAIRS for bits in self.widths)

    def compute(self, workload: Workload) -> Data:
        """One row per pair and width, and one per pair, width and layer."""
        found = [point.data(workload) for point in self._points()]
        return {
            "points": concatenate([data["point"] for data in found]),
            "layers": concatenate([data["layers"] for data in found]),
        }

    def printed(self, data: Data) -> Printed:
        """Each pair's loss and output error, by width."""
        rows = []
        for bits in data["points"].distinct("bits"):
            free = sum(data["layers"].where(family="free", bits=bits).column("error"))
            for pair in PAIRS:
                (row,) = data["points"].where(family=pair, bits=bits).records()
                error = sum(data["layers"].where(family=pair, bits=bits).column("error"))
                loss = f"{1e3 * row['task_loss_excess']:.2f}"
                rows.append((str(bits), style.NAMES[pair], f"{row['top1']:.2f}", loss, f"{error / free:.3f}"))
        note = (
            f"Post-GELU values alone are quantized, in every layer; {data['points'].column('images')[0]:,} validation "
            "images. Loss: 10⁻³ nats above the float network's. Error: squared error of the layers' outputs, as a "
            "multiple of that with free scales."
        )
        return Printed(self.title, ("k", "Pair", "Top-1", "Loss", "Error"), tuple(rows), (note,))

    def render(self, data: Data) -> Drawing:
        """Left, the task loss; right, the squared error of the output, layer by layer, against free scales."""
        figure, (left, right) = style.panels(1, 2, height=1.9)
        widths = data["points"].distinct("bits")
        for offset, pair in zip((-0.22, 0.0, 0.22), PAIRS, strict=True):
            look, shown = style.LOOKS[pair], data["points"].where(family=pair)
            line: Any = {"color": look.color, "marker": look.marker}
            loss = shown.values("task_loss_excess")
            left.plot(shown.values("bits"), loss, linestyle=look.line, label=look.label, **line)
            for at, bits in enumerate(widths):
                layers = {p: data["layers"].where(family=p, bits=bits).values("error") for p in (pair, "free")}
                ratio = layers[pair] / layers["free"]
                right.plot([at + offset] * len(ratio), ratio, linestyle="none", markerfacecolor="none", **line)
        left.set_yscale("log")
        left.yaxis.set_minor_formatter(NullFormatter())
        left.set_ylabel("task loss above FP32 / nats")
        left.set_xlabel("width $k$ / bits")
        left.set_xticks(widths)
        right.set_xticks(range(len(widths)), [str(bits) for bits in widths])
        right.set_xlabel("width $k$ / bits")
        right.set_ylabel("error relative to free scales")
        figure.legend(loc="outside upper center", ncols=len(PAIRS))
        return figure
