"""Transistors per multiply-accumulate of uniform, twin and PWLQ units, by code width, shift and accumulator width."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from ptqsim.errors import unknown_name
from ptqsim.formats.compared.pwlq import PWLQ
from ptqsim.formats.uniform import Uniform
from ptqsim.rtl.synthesis.designs import PLAIN, DesignPoint
from ptqsim.rtl.synthesis.sweep import RESOLUTION, grid, relation

from ..framework import style
from ..framework.artifact import IllustratedTable
from ..framework.frame import Data, Frame
from ..framework.text_table import Printed
from ..framework.workload import Workload
from .costs import LOOKS, costs, counted, origin

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

_AXES: Final = {"bits": "code width $k$ / bits", "shift": "shift $m$", "acc_bits": "accumulator width $P$ / bits"}
"""The quantity varied in each panel, and the label of its axis."""


@dataclass(frozen=True)
class Area(IllustratedTable):
    """Options.

    Attributes
    ----------
    designs : tuple of str
        Processing elements.
    code_bits, shifts, acc_bits : tuple of int
        Values of k, m and P, each varied with the others at the center.
    center_bits, center_shift, center_acc_bits : int
        The center.
    overflow : str
        wrap or saturate.
    """

    designs: tuple[str, ...] = tuple(LOOKS)
    code_bits: tuple[int, ...] = (3, 4, 5, 6, 7, 8)
    shifts: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    acc_bits: tuple[int, ...] = (12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32)
    center_bits: int = 8
    center_shift: int = 4
    center_acc_bits: int = 24
    overflow: str = "wrap"
    name: ClassVar[str] = "hardware.area"
    title: ClassVar[str] = "Transistors per multiply-accumulate"
    needs_model: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for design in self.designs:
            if design not in LOOKS:
                raise unknown_name("design", design, LOOKS)

    def key(self, workload: Workload) -> dict[str, Any]:
        """The options, and what the counts come from."""
        return {**super().key(workload), **origin()}

    def _lines(self) -> Iterator[tuple[str, DesignPoint]]:
        center = {"bits": (self.center_bits,), "shift": (self.center_shift,), "acc_bits": (self.center_acc_bits,)}
        values = {"bits": self.code_bits, "shift": self.shifts, "acc_bits": self.acc_bits}
        for axis in _AXES:
            k, m, p = (center | {axis: values[axis]}).values()
            yield from ((axis, point) for point in grid(self.designs, k, m, p, (self.overflow,)))

    def compute(self, workload: Workload) -> Data:
        """One row per design and value of what is varied."""
        lines = list(self._lines())
        found = costs([point for _, point in lines], workload)
        rows = [
            {
                "varied": axis,
                "design": point.design,
                "bits": point.bits,
                "shift": None if point.design in PLAIN else point.shift,
                "acc_bits": point.acc_bits,
                "overflow": point.overflow,
                **counted(cost),
            }
            for (axis, point), cost in zip(lines, found, strict=True)
        ]
        return {"area": Frame.of_rows(rows)}

    def printed(self, data: Data) -> Printed:
        """At the center: every design beside the uniform one and beside PWLQ, with the bits that it stores."""
        area = data["area"].where(varied="bits", bits=self.center_bits)
        size = dict(zip(area.column("design"), area.column("per_mac"), strict=True))
        depth = dict(zip(area.column("design"), area.column("depth"), strict=True))
        extra = _extra_bit(self.center_bits)
        rows = [
            (
                LOOKS[design].label.replace("$", ""),
                str(self.center_bits + (extra if design == "pwlq" else 0)),
                f"{size[design]:,.0f}",
                _beside(size, design, "uniform"),
                _beside(size, design, "pwlq"),
                str(depth[design]),
            )
            for design in self.designs
        ]
        flow = f"{area.column('tool')[0]}; Baugh-Wooley multipliers; registers counted"
        notes = (
            f"k = {self.center_bits}, m = {self.center_shift}, P = {self.center_acc_bits}, {self.overflow}; {flow}. "
            f"Versions of the tools differ by up to {RESOLUTION:.0%}: a smaller gap is not resolved.",
            f"Storage is arithmetic: PWLQ keeps {self.center_bits + extra} bits for {self.center_bits}, "
            f"{extra / self.center_bits:.1%} more. No count here says anything about energy.",
        )
        title = f"{self.title}: what the alignment of two ranges costs"
        columns = ("Unit", "Bits stored", "Transistors", "To uniform", "To PWLQ", "Depth")
        return Printed(title, columns, tuple(rows), notes)

    def render(self, data: Data) -> Drawing:
        """One panel per thing that is varied; what can't be told from the uniform unit lies in the band around it."""
        figure, axes = style.panels(1, 3, width=style.DOUBLE, height=2.5, sharey=True)
        area = data["area"]
        for panel, (axis, label) in zip(axes, _AXES.items(), strict=True):
            shown = area.where(varied=axis)
            for design in shown.distinct("design"):
                self._draw(panel, shown.where(design=design), axis, design)
            panel.set_xlabel(label)
            panel.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 4, 10]))
        fixed = {"bits": f"$k={self.center_bits}$", "shift": f"$m={self.center_shift}$",
                 "acc_bits": f"$P={self.center_acc_bits}$"}  # fmt: skip
        for panel, axis in zip(axes, _AXES, strict=True):
            panel.set_title(", ".join(text for name, text in fixed.items() if name != axis))
        axes[0].set_ylim(bottom=0)
        axes[0].set_ylabel("transistors per MAC / 1000")
        handles, labels = axes[0].get_legend_handles_labels()
        if "uniform" in self.designs:
            handles, labels = [*handles, Patch(color=style.PALE)], [*labels, "not resolved"]
        figure.legend(handles, labels, loc="outside upper center", ncols=4)
        return figure

    def _draw(self, panel: Axes, line: Frame, axis: str, design: str) -> None:
        look = LOOKS[design]
        x, y = line.values(axis), line.values("per_mac") / 1000
        if axis == "shift" and design in PLAIN:  # one value for every shift
            x, y = [min(self.shifts), max(self.shifts)], [y[0], y[0]]  # type: ignore[assignment]
        if design == "uniform":
            low, high = ([one * (1 + sign * RESOLUTION) for one in y] for sign in (-1, 1))
            panel.fill_between(x, low, high, color=style.PALE, linewidth=0)
        panel.plot(x, y, color=look.color, linestyle=look.line, marker=look.marker, markersize=2.8, linewidth=0.9,
                   label=look.label)  # fmt: skip


def _beside(size: dict[str, float], design: str, base: str) -> str:
    return "" if base not in size or design == base else relation(size[design], size[base])


def _extra_bit(bits: int) -> int:
    """Bits by which a PWLQ code is longer than a uniform one of the same k."""
    return PWLQ.covering(bits, breakpoint=1.0, largest=2.0).storage_bits - Uniform(bits, 1.0).storage_bits
