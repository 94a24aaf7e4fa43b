"""Every rounding of the requantizer: what an accumulator becomes when it is divided by a power of two."""

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
    from matplotlib.figure import Figure as Drawing

NAMES = {
    "half_away": "half away from zero (default)",
    "half_even": "half to even",
    "half_up": "half up",
    "truncate": "truncate (toward $-\\infty$)",
    "toward_zero": "toward zero",
    "tflite_single": "TFLite, single rounding",
    "tflite_double": "TFLite, double rounding",
}


@dataclass(frozen=True)
class RequantizeRoundings(Figure):
    """Options: accumulators from -reach to reach are divided by 2**log2_divisor."""

    reach: int = 8
    log2_divisor: int = 2
    name: ClassVar[str] = "docs.requantize"
    title: ClassVar[str] = "Roundings of the requantizer"
    needs_model: ClassVar[bool] = False

    def compute(self, workload: Workload) -> Data:
        """Apply a unit of each rounding, with the multiplier 2**30 that TFLite's roundings take."""
        acc = np.arange(-self.reach, self.reach + 1)
        frames = []
        for rounding in pq.RequantizeRounding:
            unit = pq.Requantizer(multiplier=1 << 30, shift=30 + self.log2_divisor, rounding=rounding)
            quotient = acc / 2**self.log2_divisor
            columns = {"rounding": str(rounding), "acc": acc, "quotient": quotient, "result": unit.apply(acc)}
            frames.append(Frame.of(columns))
        return {"requantize": concatenate(frames)}

    def render(self, data: Data) -> Drawing:
        """One panel per rounding: dots where the result is a nearest integer, diamonds where it is none."""
        roundings = data["requantize"].distinct("rounding")
        figure, axes = style.panels(2, 4, width=style.DOUBLE, height=3.6, sharex=True, sharey=True)
        for panel, rounding in zip(axes, roundings, strict=False):
            shown = data["requantize"].where(rounding=rounding)
            acc, quotient, result = (shown.values(name) for name in ("acc", "quotient", "result"))
            error = np.abs(result - quotient)
            panel.plot(acc, quotient, color=style.PALE, linewidth=0.8, zorder=0)
            for label, chosen, marker, color in (
                ("the nearest integer", error < 0.5, "o", style.BLUE),
                ("one of the two nearest", error == 0.5, "s", style.ORANGE),
                ("another", error > 0.5, "D", style.VERMILION),
            ):
                panel.plot(acc[chosen], result[chosen], marker, color=color, label=label)
            panel.set_title(NAMES[rounding])
            panel.set_xticks(acc[:: 2**self.log2_divisor])
            panel.set_yticks(np.unique(np.rint(quotient)))
        legend = axes[len(roundings)]
        legend.axis("off")
        legend.legend(*axes[0].get_legend_handles_labels(), loc="center", title=f"acc / {2**self.log2_divisor} goes to")
        for panel in axes[len(roundings) - 4 : len(roundings)]:
            panel.set_xlabel("acc")
            panel.tick_params(labelbottom=True)
        for panel in axes[::4]:
            panel.set_ylabel("result")
        return figure
