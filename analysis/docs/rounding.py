"""Every rounding mode of a format: the integer that a quotient becomes, and where halves go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

import ptqsim as pq

from ..framework import style
from ..framework.artifact import Figure
from ..framework.frame import Data, Frame, concatenate
from ..framework.workload import Workload
from .staircase import staircase

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

NAMES = {
    "half_even": "half to even (default)",
    "half_away": "half away from zero",
    "half_up": "half up",
    "toward_zero": "toward zero",
}


@dataclass(frozen=True)
class Rounding(Figure):
    """Options: how far to show, and samples per unit (a multiple of 4, so that halves are among them)."""

    reach: int = 2
    samples: int = 32
    name: ClassVar[str] = "docs.rounding"
    title: ClassVar[str] = "Rounding modes of a format"
    needs_model: ClassVar[bool] = False

    def compute(self, workload: Workload) -> Data:
        """Encode and align dyadic quotients with scale 1."""
        last = self.reach * self.samples + self.samples // 4
        quotients = np.arange(-last, last + 1) / self.samples
        frames = []
        for mode in pq.RoundingMode:
            fmt = pq.Uniform(bits=8, scale=1.0, rounding=mode)
            integers = fmt.align(fmt.encode(quotients))
            frames.append(Frame.of({"mode": str(mode), "quotient": quotients, "integer": integers}))
        return {"rounding": concatenate(frames)}

    def render(self, data: Data) -> Drawing:
        """One staircase per mode."""
        modes = data["rounding"].distinct("mode")
        figure, axes = style.panels(1, len(modes), width=style.DOUBLE, height=1.9, sharey=True)
        halves = np.arange(-2 * self.reach, 2 * self.reach + 1) / 2
        for panel, mode in zip(axes, modes, strict=True):
            shown = data["rounding"].where(mode=mode)
            panel.plot([-self.reach, self.reach], [-self.reach, self.reach], color=style.PALE, linewidth=0.8, zorder=0)
            staircase(panel, shown.values("quotient"), shown.values("integer"), halves)
            panel.set_title(NAMES[mode])
            panel.set_xlabel(r"$x/\Delta$")
            panel.set_xticks(range(-self.reach, self.reach + 1))
            panel.set_yticks(range(-self.reach, self.reach + 1))
            panel.set_aspect("equal")
        axes[0].set_ylabel("integer")
        return figure
