"""Accuracy against gates: what each bit of code and register, alignment and order costs, and what it buys.

The operations after softmax (P V), or those after GELU (fc2), run on the processing element that is counted; all others
are exact.  Along a curve the accumulator gets narrower.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from ptqsim.rtl.synthesis.designs import DesignPoint
from ptqsim.rtl.synthesis.sweep import RESOLUTION, Cost

from ..framework import style
from ..framework.activations import TITLES, Special
from ..framework.artifact import IllustratedTable
from ..framework.frame import Data, Frame
from ..framework.points import UnitOfWork
from ..framework.text_table import Printed
from ..framework.workload import Workload
from .costs import costs, counted, origin
from .datapath_point import DatapathPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

_OPERANDS: Final[tuple[Special, ...]] = ("softmax", "gelu")


@dataclass(frozen=True)
class Setup:
    """One curve: a processing element, whose register gets narrower, and what it computes with.

    Attributes
    ----------
    unit : str
        uniform, runtime (m of each layer as an input), wired (one m for all), operand or deferred.
    bits : int
    shift : int
        That of the circuit, the greatest one of an input.
    overflow, order : str
    """

    unit: str
    bits: int
    shift: int
    overflow: str = "saturate"
    order: str = "sequential"

    def accuracy(self, operand: Special, widths: tuple[int, ...], images: int, floor: float) -> DatapathPoint:
        """Datapath that accuracy is measured on; a shift before the multiplier gives the same sums."""
        method = "base_ptq" if self.unit == "uniform" else "ptq4vit"
        shift = None if self.unit in ("uniform", "runtime") else self.shift
        alignment = "deferred" if self.unit == "deferred" else "product"
        return DatapathPoint(
            operand, method, self.bits, shift, self.shift, self.overflow, self.order, alignment, widths, images, floor
        )

    def circuit(self, operand: Special, acc_bits: int) -> DesignPoint:
        """The design whose gates are counted."""
        design = "uniform" if self.unit == "uniform" else operand + ("" if self.unit == "wired" else f"_{self.unit}")
        return DesignPoint(design, self.bits, self.shift, acc_bits, self.overflow, order=self.order)


@dataclass(frozen=True)
class AreaAccuracy(IllustratedTable):
    """Options.

    Attributes
    ----------
    code_bits : tuple of int
        Widths k of weights and activations in the upper row.
    datapath_bits : int
        That of the lower row.
    shift : int
        m where it is wired, the same for every layer.
    greatest_shift : int
        What a unit with m as an input is built for.
    trees : tuple of int
        Lanes of adder trees in the lower row.
    widths : tuple of int
        Accumulator widths, falling.
    images : int
        Validation images.
    floor : float
        Narrower registers are not tried once top-1 is at or below this fraction of the exact one's.
    """

    code_bits: tuple[int, ...] = (8, 6, 4)
    datapath_bits: int = 8
    shift: int = 4
    greatest_shift: int = 8
    trees: tuple[int, ...] = (4, 16)
    widths: tuple[int, ...] = (24, 22, 20, 18, 16, 14, 12, 10, 8)
    images: int = 100
    floor: float = 0.1
    name: ClassVar[str] = "hardware.area_accuracy"
    title: ClassVar[str] = "Top-1 against transistors per multiply-accumulate"

    def key(self, workload: Workload) -> dict[str, Any]:
        """The options, the model, and what the counts come from."""
        return {**super().key(workload), **origin()}

    def _formats(self) -> list[Setup]:
        """The upper row."""
        return [
            Setup(unit, k, self.greatest_shift if unit == "runtime" else self.shift)
            for unit in ("uniform", "runtime")
            for k in self.code_bits
        ]

    def _datapaths(self) -> list[Setup]:
        """The lower row."""
        k, m = self.datapath_bits, self.shift
        units = [Setup(unit, k, m) for unit in ("wired", "operand", "deferred")]
        return [
            Setup("wired", k, m, "wrap"),
            *units,
            *(Setup("wired", k, m, order=f"tree:{lanes}") for lanes in self.trees),
        ]

    def _curves(self) -> Iterator[tuple[str, Special, Setup, DatapathPoint]]:
        for row, setups in (("format", self._formats()), ("datapath", self._datapaths())):
            for operand in _OPERANDS:
                for setup in setups:
                    yield row, operand, setup, setup.accuracy(operand, self.widths, self.images, self.floor)

    def tasks(self, workload: Workload) -> Iterator[UnitOfWork]:
        """Every curve."""
        yield from ((workload, point) for *_, point in self._curves())

    def compute(self, workload: Workload) -> Data:
        """One row per curve and accumulator width."""
        found: list[tuple[dict[str, Any], DesignPoint]] = []
        for row, operand, setup, point in self._curves():
            for measured in point.data(workload)["curve"].records():
                about = {"row": row, "operand": operand, "unit": setup.unit, "bits": setup.bits}
                about |= {"shift": None if setup.unit == "uniform" else setup.shift, "overflow": setup.overflow}
                found.append((about | {"order": setup.order, **measured}, setup.circuit(operand, measured["acc_bits"])))
        rows = [cells | counted(cost) for (cells, _), cost in zip(found, self._costs(found, workload), strict=True)]
        for cells in rows:
            rivals = [r for r in rows if (r["row"], r["operand"]) == (cells["row"], cells["operand"])]
            cells["front"] = not any(_better(rival, cells) for rival in rivals)
        return {"points": Frame.of_rows(rows)}

    def _costs(self, found: list[tuple[dict[str, Any], DesignPoint]], workload: Workload) -> list[Cost[DesignPoint]]:
        return costs([point for _, point in found], workload)

    def printed(self, data: Data) -> Printed:
        """Of every curve the narrowest register that keeps 99 % of its exact top-1, and its gates."""
        rows = []
        for _, operand, setup, shown in self._shown(data["points"]):
            kept = shown.values("top1") >= 0.99 * shown.values("exact")
            last = int(np.argmin(kept)) - 1 if not kept.all() else len(kept) - 1
            if last < 0:
                continue
            cells = shown.records()[last]
            rows.append(
                (
                    TITLES[operand],
                    UNITS[setup.unit],
                    str(setup.bits),
                    style.NAMES[setup.overflow].lower(),
                    setup.order,
                    str(cells["acc_bits"]),
                    f"{cells['per_mac']:,.0f}",
                    str(cells["depth"]),
                    f"{cells['top1']:.2f}",
                )
            )
        points = data["points"]
        notes = (
            f"P: the narrowest of {', '.join(map(str, sorted(self.widths)))} bits that keeps 99 % of the exact top-1, "
            f"as all wider ones do, on {points.column('images')[0]:,} validation images. Weights and activations have "
            "k bits; only the operations after softmax, or after GELU, have this register, all others are exact.",
            f"{points.column('tool')[0]}; Baugh-Wooley multipliers; gaps under {RESOLUTION:.0%} are not resolved. A "
            "tree's transistors are divided by its lanes; its depth is that of all of them.",
        )
        columns = ("Operand", "Unit", "k", "Overflow", "Order", "P", "Transistors per MAC", "Depth", "Top-1")
        return Printed(self.title, columns, tuple(dict.fromkeys(rows)), notes)

    def _shown(self, points: Frame) -> Iterator[tuple[str, Special, Setup, Frame]]:
        for row, operand, setup, _ in self._curves():
            about: dict[str, Any] = {
                "unit": setup.unit,
                "bits": setup.bits,
                "overflow": setup.overflow,
                "order": setup.order,
            }
            yield row, operand, setup, points.where(row=row, operand=operand, **about)

    def render(self, data: Data) -> Drawing:
        """Above the formats, below the datapaths; a grey line joins the points that none is better than."""
        figure, axes = style.panels(2, 2, width=style.DOUBLE, height=4.3, sharey=True)
        panels = {(row, operand): axes[2 * i + j] for i, row in enumerate(("format", "datapath"))
                  for j, operand in enumerate(_OPERANDS)}  # fmt: skip
        for (row, operand), panel in panels.items():
            _front(panel, data["points"].where(row=row, operand=operand, front=True))
        for row, operand, setup, shown in self._shown(data["points"]):
            color, marker, line, label = self._look(row, setup)
            panels[row, operand].plot(shown.values("per_mac") / 1000, shown.values("top1"), color=color, marker=marker,
                                      linestyle=line, markersize=3, linewidth=0.9, label=label)  # fmt: skip
        for (row, operand), panel in panels.items():
            panel.set_ylim(bottom=0)
            if row == "format":
                panel.set_title(TITLES[operand])
            else:
                panel.set_xlabel("transistors per MAC / 1000")
            if operand == _OPERANDS[0]:
                panel.set_ylabel("top-1 / %")
            else:
                panel.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        return figure

    def _look(self, row: str, setup: Setup) -> tuple[str, str, Any, str]:
        if row == "format":
            at = self.code_bits.index(setup.bits) % len(_MARKERS)
            color = style.LOOKS["uniform" if setup.unit == "uniform" else "twin"].color
            name = "Uniform" if setup.unit == "uniform" else "Twin"
            return color, _MARKERS[at], _LINES[at], f"{name}, $k={setup.bits}$"
        if setup.order != "sequential":
            lanes = setup.order.removeprefix("tree:")
            at = self.trees.index(int(lanes)) % 2
            return (style.PURPLE, style.ORANGE)[at], "v^"[at], (0, (1, 1)), f"Tree of {lanes}"
        if setup.overflow == "wrap":
            return style.VERMILION, "s", (0, (4, 1.5)), "Wired $m$, wrap"
        color, marker = {"wired": (style.BLUE, "o"), "operand": (style.SKY, "P"), "deferred": (style.BLACK, "x")}[
            setup.unit
        ]
        return color, marker, "-", UNITS[setup.unit].replace(" m", " $m$")


UNITS: Final = {
    "uniform": "Uniform",
    "runtime": "Twin, m an input",
    "wired": "Wired m",
    "operand": "Operand shifted",
    "deferred": "Deferred",
}
_MARKERS: Final = "os^Dv"
_LINES: Final[tuple[Any, ...]] = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (4, 1.5, 1, 1.5)), (0, (6, 1)))


def _better(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """True if one has at least the accuracy of the other for no more gates, and is better in one of them."""
    mine, its = (one["top1"], -one["per_mac"]), (other["top1"], -other["per_mac"])
    return mine != its and all(x >= y for x, y in zip(mine, its, strict=True))


def _front(panel: Axes, front: Frame) -> None:
    """The best that can be had for so many gates, as steps."""
    best = sorted({(x / 1000, y) for x, y in zip(front.values("per_mac"), front.values("top1"), strict=True)})
    if best:
        x, y = zip(*best, strict=True)
        panel.step(x, y, where="post", color=style.PALE, linewidth=3, zorder=0, label="Best for its gates")
