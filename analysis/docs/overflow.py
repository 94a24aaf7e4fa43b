"""Every overflow mode: what a register holds after one addition, by the exact sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

import ptqsim as pq

from ..framework import style
from ..framework.artifact import Figure
from ..framework.frame import Data, Frame
from ..framework.workload import Workload

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


@dataclass(frozen=True)
class Overflow(Figure):
    """Options: the width P of the register."""

    bits: int = 4
    name: ClassVar[str] = "docs.overflow"
    title: ClassVar[str] = "Overflow modes of a register"
    needs_model: ClassVar[bool] = False

    def compute(self, workload: Workload) -> Data:
        """One addition of every sum that two registers can have, into an empty register; trapped ones have no value."""
        rows: list[dict[str, str | int | None]] = []
        for mode in pq.OverflowMode:
            accumulator = pq.Accumulator(bits=self.bits, overflow=mode)
            for exact in range(2 * accumulator.minimum, 2 * accumulator.maximum + 1):
                register: int | None
                try:
                    register = pq.reference.dot([exact], [1], accumulator)
                except pq.AccumulatorOverflowError:
                    register = None
                rows.append({"mode": str(mode), "exact": exact, "register": register})
        return {"overflow": Frame.of_rows(rows)}

    def render(self, data: Data) -> Drawing:
        """One panel per mode; what the register cannot hold is shaded."""
        modes = data["overflow"].distinct("mode")
        figure, axes = style.panels(1, len(modes), width=style.DOUBLE, height=1.9, sharey=True)
        accumulator = pq.Accumulator(bits=self.bits)
        low, high = accumulator.minimum, accumulator.maximum
        for panel, mode in zip(axes, modes, strict=True):
            shown = data["overflow"].where(mode=mode)
            exact, register = shown.values("exact"), shown.values("register")
            panel.plot([exact[0], exact[-1]], [exact[0], exact[-1]], color=style.GREY, linewidth=0.6, zorder=1)
            for start, stop in ((exact[0] - 1, low - 0.5), (high + 0.5, exact[-1] + 1)):
                panel.axvspan(start, stop, color=style.PALE, linewidth=0, zorder=0)
            held = register == exact
            panel.plot(exact[held], register[held], "o", color=style.BLUE, markersize=2.8)
            panel.plot(exact[~held], register[~held], "D", color=style.VERMILION, markersize=2.8)
            if np.isnan(register).any():
                for x in (float(exact[0] - 1 + low) / 2, float(exact[-1] + 1 + high) / 2):
                    panel.text(x, 0, "error", ha="center", va="center", color=style.VERMILION)
            panel.set_title(mode)
            panel.set_xlabel("exact sum")
            panel.set_xticks([2 * low, low, 0, high, 2 * high])
            panel.set_yticks([low, 0, high])
            panel.set_xlim(exact[0] - 1, exact[-1] + 1)
            panel.set_ylim(low - 1, high + 1)
        axes[0].set_ylabel(f"register, $P={self.bits}$")
        return figure
