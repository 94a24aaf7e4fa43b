"""The hole of the paper's range rule, in the manner of Fig. 3: for m >= k, values around 2^-m round to zero.

Eq. 4 sends every x >= 2^-m to R2, whose step is 2^-(k-1).  From m = k on, 2^-m lies below half of that step, so that
the values between are stored as zero, although R1 holds better points for them.  Taking the nearest point of both
ranges closes the hole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

import ptqsim as pq

from ...framework import style
from ...framework.artifact import Figure
from ...framework.frame import Data, Frame, concatenate
from ...framework.workload import Workload

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

_LOOKS = {
    "paper": style.Look("paper (by value)", style.VERMILION, "-"),
    "nearest": style.Look("nearest point", style.BLUE, (0, (4, 1.5))),
}


@dataclass(frozen=True)
class RangeRule(Figure):
    """Options: the width k, the shift m, and how many values are tried."""

    bits: int = 8
    shift: int = 11
    values: int = 4000
    name: ClassVar[str] = "ptq4vit.range_rule"
    title: ClassVar[str] = "Post-softmax values that the paper's range rule rounds to zero, and the rule that does not"
    needs_model: ClassVar[bool] = False

    def compute(self, workload: Workload) -> Data:
        """Encode and decode logarithmically spaced values by both rules."""
        real = np.geomspace(2.0 ** -(self.shift + 2), 2.0 ** -(self.bits - 3), self.values)
        frames = []
        for rule in _LOOKS:
            fmt = pq.TwinSoftmax(bits=self.bits, shift=self.shift, range_choice=rule)
            codes = fmt.encode(real)
            frames.append(Frame.of({"rule": rule, "real": real, "code": codes, "decoded": fmt.decode(codes)}))
        return {"points": concatenate(frames)}

    def render(self, data: Data) -> Drawing:
        """Decoded against real; zero has no place on a logarithmic axis, so it is the shaded part."""
        figure, (axes,) = style.panels(height=1.9)
        points = data["points"]
        for rule, look in _LOOKS.items():
            shown = points.where(rule=rule)
            decoded = shown.values("decoded")
            axes.plot(
                shown.values("real"), np.where(decoded > 0, decoded, np.nan),
                color=look.color, linestyle=look.line, label=look.label,
            )  # fmt: skip
        paper = points.where(rule="paper")
        split = 2.0**-self.shift
        lost = paper.values("real")[(paper.values("decoded") == 0) & (paper.values("real") >= split)]
        if len(lost):
            axes.axvspan(lost.min(), lost.max(), color=style.PALE, zorder=0, linewidth=0)
            middle = float(np.sqrt(lost.min() * lost.max()))
            axes.annotate(
                "paper: 0", (middle, 0.06), xycoords=("data", "axes fraction"), ha="center", color=style.VERMILION
            )
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        axes.set_xlabel("value $x$")
        axes.set_ylabel("stored as")
        axes.legend(loc="lower right")
        axes.set_title(f"$k={self.bits}$, $m={self.shift}$")
        return figure
