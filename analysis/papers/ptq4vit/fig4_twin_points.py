"""Fig. 4: the points of 3-bit twin uniform quantization with their binary codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

import ptqsim as pq

from ...framework import style
from ...framework.activations import TITLES
from ...framework.artifact import Figure
from ...framework.frame import Data, Frame, concatenate
from ...framework.workload import Workload

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing


@dataclass(frozen=True)
class TwinPoints(Figure):
    """Options: the width k and each format's shift m."""

    bits: int = 3
    softmax_shift: int = 2
    gelu_shift: int = 2
    name: ClassVar[str] = "ptq4vit.fig4"
    title: ClassVar[str] = "Points of twin uniform quantization and their codes"
    needs_model: ClassVar[bool] = False

    def compute(self, workload: Workload) -> Data:
        """Decode every code of both formats."""
        formats = {
            "softmax": pq.TwinSoftmax(bits=self.bits, shift=self.softmax_shift),
            "gelu": pq.TwinGELU.fixed_negative(bits=self.bits, shift=self.gelu_shift),
        }
        frames = []
        for kind, fmt in formats.items():
            codes = np.arange(2**self.bits, dtype=np.uint8)
            flags = codes >> (self.bits - 1)
            columns = {
                "kind": kind,
                "code": [format(code, f"0{self.bits}b") for code in codes],
                "range": [f"R{flag + 1}" for flag in flags],
                "magnitude": codes - (flags << (self.bits - 1)),
                "aligned": fmt.align(codes),
                "value": fmt.decode(codes),
                "scale_R1": fmt.scale,
                "shift": fmt.shift,
            }
            frames.append(Frame.of(columns))
        return {"points": concatenate(frames)}

    def render(self, data: Data) -> Drawing:
        """One number line per format: R1 annotated above it, R2 below."""
        figure, axes = style.panels(1, 2, height=1.3)
        for panel, kind in zip(axes, ("softmax", "gelu"), strict=True):
            points = data["points"].where(kind=kind)
            shift = points.column("shift")[0]
            scales = {"R1": r"$\Delta_{R1}$", "R2": rf"$\Delta_{{R2}}=2^{{{shift}}}\Delta_{{R1}}$"}
            _number_line(panel, points, scales)
            panel.set_title(TITLES[kind])
        return figure


def _number_line(axes: Axes, points: Frame, scales: dict[str, str]) -> None:
    values = points.values("value")
    span = values.max() - values.min()
    axes.axhline(0, color=style.GREY, linewidth=0.6, zorder=0)
    # both ranges hold a zero: R1's circle is drawn over R2's diamond
    for name, side, size in (("R2", -1, 5.5), ("R1", 1, 3.0)):
        look, shown = style.LOOKS[name], points.where(range=name)
        at = shown.values("value")
        axes.plot(at, np.zeros(len(at)), look.marker, color=look.color, markersize=size, clip_on=False)
        # labels need more room than neighboring points of R1 leave, so they stand apart and thin lines lead to them
        spread = _spread(at, 0.15 * span)
        for x, label_x, code in zip(at, spread, shown.column("code"), strict=True):
            axes.plot([x, label_x], [0.1 * side, 0.42 * side], color=look.color, linewidth=0.5)
            vertical = "bottom" if side > 0 else "top"
            axes.text(label_x, 0.47 * side, code, color=look.color, ha="center", va=vertical, fontsize=7)
        caption = f"{look.label}: {scales[name]}"
        axes.text(float(np.mean(spread)), 1.25 * side, caption, color=look.color, ha="center", va="center", fontsize=7)
    axes.set_ylim(-1.5, 1.5)
    axes.set_xlim(values.min() - 0.17 * span, values.max() + 0.1 * span)
    axes.set_yticks([])
    axes.set_xlabel("value")
    axes.spines["left"].set_visible(False)


def _spread(at: NDArray[np.float64], gap: float) -> NDArray[np.float64]:
    """Label positions at least ``gap`` apart, in the order of the points and near to them."""
    order = np.argsort(at)
    placed = at[order]
    for i in range(1, len(placed)):
        placed[i] = max(placed[i], placed[i - 1] + gap)
    placed -= (placed - at[order]).mean()  # as far to the left as to the right
    result = np.empty_like(placed)
    result[order] = placed
    return result
