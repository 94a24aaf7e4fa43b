"""Fig. 2: distributions of the post-softmax and of the negative post-GELU values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ptqsim.formats import GELU_MIN

from ...framework import style
from ...framework.activations import Special, histogram, special_layer, special_values
from ...framework.artifact import Figure
from ...framework.frame import Data, Frame, concatenate
from ...framework.workload import Workload

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


@dataclass(frozen=True)
class Distributions(Figure):
    """Options: which block (the middle one if None) and how many bins."""

    block: int | None = None
    bins: int = 64
    name: ClassVar[str] = "ptq4vit.fig2"
    title: ClassVar[str] = "Distributions of the post-softmax and the negative post-GELU values"

    def compute(self, workload: Workload) -> Data:
        """Histograms of one block's values over [0, 1] and [min GELU, 0)."""
        frames, layers = [], []
        ranges: dict[Special, tuple[float, float]] = {"softmax": (0.0, 1.0), "gelu": (GELU_MIN, 0.0)}
        for kind, (low, high) in ranges.items():
            values = special_values(workload, kind, self.block)
            shown = values[values < 0] if kind == "gelu" else values
            columns = histogram(shown, low, high, self.bins)
            frames.append(Frame.of({"kind": kind, **columns}))
            layers.append({"kind": kind, "layer": special_layer(workload, kind, self.block), "values": len(shown)})
        return {"distribution": concatenate(frames), "layers": Frame.of_rows(layers)}

    def render(self, data: Data) -> Drawing:
        """Two histograms, the left one with a logarithmic axis."""
        figure, (left, right) = style.panels(1, 2, height=1.45)
        for axes, kind, label in ((left, "softmax", "post-softmax value"), (right, "gelu", "negative post-GELU value")):
            shown = data["distribution"].where(kind=kind)
            edges = [*shown.column("left"), shown.column("right")[-1]]
            axes.stairs(shown.values("share"), edges, fill=True, color=style.SKY, edgecolor=style.BLUE, linewidth=0.6)
            axes.set_xlabel(label)
            axes.set_xlim(edges[0], edges[-1])
            axes.margins(y=0.05)
        left.set_yscale("log")
        left.set_ylabel("share of values")
        right.set_xticks([-0.15, -0.1, -0.05, 0])
        return figure
