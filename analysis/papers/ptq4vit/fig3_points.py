"""Fig. 3: the points of uniform quantization with different scaling factors, on post-softmax and post-GELU values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

import ptqsim as pq

from ...framework import style
from ...framework.activations import TITLES, histogram, special_values
from ...framework.artifact import Figure
from ...framework.frame import Data, Frame, concatenate
from ...framework.workload import Workload

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing


@dataclass(frozen=True)
class UniformPoints(Figure):
    """Options: the width, the normalized scales (times A_max / 2^(k-1)), the block and the number of bins."""

    bits: int = 3
    normalized_scales: tuple[float, ...] = (1.0, 0.25, 0.0625)
    block: int | None = None
    bins: int = 64
    name: ClassVar[str] = "ptq4vit.fig3"
    title: ClassVar[str] = "Quantization points of uniform quantization with different scaling factors"

    def compute(self, workload: Workload) -> Data:
        """The real values' histogram, and every point of every scale."""
        distributions, points = [], []
        for kind in ("softmax", "gelu"):
            values = special_values(workload, kind, self.block)
            largest = float(np.abs(values).max())
            low = 0.0 if kind == "softmax" else -largest / 4
            columns = histogram(values, low, largest, self.bins)
            distributions.append(Frame.of({"kind": kind, **columns}))
            for normalized in self.normalized_scales:
                fmt = pq.Uniform(bits=self.bits, scale=normalized * largest / 2 ** (self.bits - 1))
                codes = np.arange(2**self.bits, dtype=np.uint8)
                points.append(
                    Frame.of(
                        {
                            "kind": kind,
                            "normalized_scale": normalized,
                            "scale": fmt.scale,
                            "code": [format(code, f"0{self.bits}b") for code in codes],
                            "value": fmt.decode(codes),
                        }
                    )
                )
        return {"distribution": concatenate(distributions), "points": concatenate(points)}

    def render(self, data: Data) -> Drawing:
        """The distribution above, one row of points per scaling factor below it."""
        figure, axes = style.panels(2, 2, height=1.9, sharex="col", gridspec_kw={"height_ratios": [3, 2.4]})
        for column, kind in enumerate(("softmax", "gelu")):
            shown = data["distribution"].where(kind=kind)
            edges = [*shown.column("left"), shown.column("right")[-1]]
            upper, lower = axes[column], axes[column + 2]
            upper.stairs(shown.values("share"), edges, fill=True, color=style.PALE, edgecolor=style.GREY, linewidth=0.5)
            upper.set_yscale("log")
            upper.set_title(TITLES[kind])
            span = edges[-1] - edges[0]
            upper.set_xlim(edges[0] - 0.03 * span, edges[-1] + 0.03 * span)
            self._rows(lower, data["points"].where(kind=kind), lower.get_xlim())
        axes[0].set_ylabel("share of values")
        figure.supxlabel(rf"value    ($\Delta_0=A_{{\max}}/2^{{k-1}}$, $k={self.bits}$)", fontsize=8)
        scales = [_factor(scale) for scale in self.normalized_scales]
        axes[2].set_yticks(range(len(scales)), [rf"$\Delta={scale}\Delta_0$" for scale in scales])
        axes[3].set_yticks(range(len(scales)), [""] * len(scales))
        return figure

    def _rows(self, axes: Axes, points: Frame, limits: tuple[float, float]) -> None:
        colors = (style.VERMILION, style.BLUE, style.GREEN)
        for row, normalized in enumerate(self.normalized_scales):
            values = points.where(normalized_scale=normalized).values("value")
            values = values[(values >= limits[0]) & (values <= limits[1])]
            color = colors[row % len(colors)]
            axes.plot([values.min(), values.max()], [row, row], color=color, linewidth=0.6)
            axes.plot(values, np.full(len(values), row), "|", color=color, markersize=6, markeredgewidth=0.9)
        axes.set_ylim(len(self.normalized_scales) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)


def _factor(scale: float) -> str:
    """A normalized scale as it stands in front of a symbol."""
    if scale == 1:
        return ""
    inverse = 1 / scale
    return rf"\frac{{1}}{{{inverse:.0f}}}" if inverse == round(inverse) else f"{scale:g}"
