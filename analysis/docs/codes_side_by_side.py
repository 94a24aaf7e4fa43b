"""All values of formats that store the same number of bits, each scaled to the same largest value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

import ptqsim as pq

from ..framework import style
from ..framework.artifact import Figure
from ..framework.frame import Data, Frame, concatenate
from ..framework.workload import Workload

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing


def formats(bits: int, shift: int) -> dict[str, tuple[pq.NumberFormat, str]]:
    """Formats of so many stored bits, signed ones first, with the color of their family."""
    floats = [pq.Minifloat(e, bits - 1 - e) for e in range(1, bits)]
    return {
        "uniform": (pq.Uniform(bits, 1.0), style.ORANGE),
        f"twin, GELU, $m={shift}$": (pq.TwinGELU(bits, shift, 1.0), style.BLUE),
        f"PWLQ, {bits - 1}+1": (pq.PWLQ.covering(bits - 1, breakpoint=0.25, largest=1.0), style.VERMILION),
        **{fmt.name: (fmt, style.GREEN) for fmt in floats},
        f"twin, softmax, $m={shift}$": (pq.TwinSoftmax(bits, shift), style.BLUE),
        "log2": (pq.Log2(bits), style.PURPLE),
        r"$\log_{\sqrt{2}}$": (pq.Log2(bits, root=2), style.PURPLE),
    }


@dataclass(frozen=True)
class CodesSideBySide(Figure):
    """Options: stored bits, 3 and more, and the shift of the twin formats."""

    bits: int = 4
    shift: int = 3
    name: ClassVar[str] = "docs.codes_side_by_side"
    title: ClassVar[str] = "The values of all codes of formats that store equally many bits"
    needs_model: ClassVar[bool] = False

    def compute(self, workload: Workload) -> Data:
        """Decode every code, and divide by the largest value of the format."""
        frames = []
        for name, (fmt, _) in formats(self.bits, self.shift).items():
            codes = np.arange(fmt.code_count)
            values = fmt.decode(codes) / np.abs(fmt.decode(codes)).max()
            frames.append(Frame.of({"format": name, "bits": fmt.storage_bits, "code": codes, "value": values}))
        return {"codes": concatenate(frames)}

    def render(self, data: Data) -> Drawing:
        """One line of marks per format: all values on the left, the positive ones by their logarithm on the right."""
        names = data["codes"].distinct("format")
        figure, (linear, logarithmic) = style.panels(
            1, 2, width=style.DOUBLE, height=0.35 + 0.21 * len(names), sharey=True
        )
        least = 1.0
        for row, name in enumerate(names):
            values = np.unique(data["codes"].where(format=name).values("value"))
            color = formats(self.bits, self.shift)[name][1]
            positive = values[values > 0]
            least = min(least, positive.min())
            _marks(linear, values, row, color)
            _marks(logarithmic, positive, row, color)
            logarithmic.annotate(
                str(len(values)), (1.03, row), xycoords=("axes fraction", "data"), va="center", color=color
            )
        logarithmic.annotate("values", (1.03, -1.0), xycoords=("axes fraction", "data"), va="center", ha="left")
        linear.set_yticks(range(len(names)), names)
        linear.set_ylim(len(names) - 0.4, -0.6)
        linear.set_xlim(-1.05, 1.05)
        linear.set_xticks([-1, -0.5, 0, 0.5, 1])
        linear.set_xlabel("value, in parts of the largest")
        logarithmic.set_xscale("log", base=2)
        logarithmic.set_xlim(least / 1.5, 1.5)
        logarithmic.set_xlabel("positive values, logarithmic axis")
        for axes in (linear, logarithmic):
            axes.tick_params(axis="y", length=0)
            axes.spines["left"].set_visible(False)
        return figure


def _marks(axes: Axes, values: np.ndarray, row: int, color: str) -> None:
    axes.plot([values.min(), values.max()], [row, row], color=style.PALE, linewidth=0.8, zorder=0)
    axes.plot(values, np.full(len(values), row), "|", color=color, markersize=8, markeredgewidth=1.1)
