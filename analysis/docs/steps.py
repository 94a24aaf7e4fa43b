"""One dot product, step by step, in each overflow mode."""

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

_EXACT = style.Look("Exact", style.BLACK, (0, (1, 1)), "x")


@dataclass(frozen=True)
class Steps(Figure):
    """Options: the width P of the register, and the operands."""

    bits: int = 15
    a: tuple[int, ...] = (127, 127, 127, 127, 127)
    b: tuple[int, ...] = (127, 127, 127, -127, -127)
    name: ClassVar[str] = "docs.steps"
    title: ClassVar[str] = "A dot product that leaves its register and comes back"
    needs_model: ClassVar[bool] = False

    def compute(self, workload: Workload) -> Data:
        """Trace the registers with the reference."""
        frames = []
        for mode in (pq.OverflowMode.WRAP, pq.OverflowMode.SATURATE):
            _, done = pq.reference.trace(self.a, self.b, pq.Accumulator(bits=self.bits, overflow=mode))
            columns = {
                "mode": str(mode),
                "step": [step.depth_index for step in done],
                "term": [step.term for step in done],
                "exact": [step.exact for step in done],
                "register": [step.after for step in done],
                "event": [step.event for step in done],
            }
            frames.append(Frame.of(columns))
        return {"steps": concatenate(frames)}

    def render(self, data: Data) -> Drawing:
        """Registers against steps; events are ringed, and what the register cannot hold is shaded."""
        figure, (axes,) = style.panels(width=style.COLUMN * 1.3, height=2.3)
        accumulator = pq.Accumulator(bits=self.bits)
        frame = data["steps"]
        for mode in frame.distinct("mode"):
            look, shown = style.LOOKS[mode], frame.where(mode=mode)
            step, register, event = shown.values("step"), shown.values("register"), shown.values("event") == 1
            axes.plot(
                np.r_[-1, step], np.r_[0, register],
                color=look.color, linestyle=look.line, marker=look.marker, label=look.label,
            )  # fmt: skip
            axes.plot(step[event], register[event], "o", markersize=8, markerfacecolor="none", color=look.color)
        one = frame.where(mode=frame.distinct("mode")[0])
        axes.plot(
            np.r_[-1, one.values("step")], np.r_[0, one.values("exact")],
            color=_EXACT.color, linestyle=_EXACT.line, marker=_EXACT.marker, label=_EXACT.label,
        )  # fmt: skip
        low, high = axes.get_ylim()
        axes.axhspan(accumulator.maximum + 0.5, high, color=style.PALE, linewidth=0, zorder=0)
        axes.axhspan(low, accumulator.minimum - 0.5, color=style.PALE, linewidth=0, zorder=0)
        axes.set_ylim(low, high)
        axes.set_xticks([-1, *map(int, one.values("step"))], ["start", *map(str, one.column("step"))])
        axes.set_yticks([accumulator.minimum, 0, accumulator.maximum, int(one.values("exact").max())])
        axes.set_xlabel("step $l$")
        axes.set_ylabel(f"register, $P={self.bits}$")
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return figure
