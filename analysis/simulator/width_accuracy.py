"""Accuracy against the width of one kind of accumulator, for wrap and saturate, per format and shift.

Only the operations after softmax (P V) or only those after GELU (fc2) have the narrow register; all others are exact.
The twin formats' shift m is set to each value in turn, so that what a larger shift costs in width is seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

import ptqsim as pq
from ptqsim import ptq
from ptqsim.ptq.network.products.operations import OperandFormats

from ..framework import style
from ..framework.activations import TITLES, Special
from ..framework.artifact import IllustratedTable
from ..framework.frame import Data, Frame, concatenate
from ..framework.points import UnitOfWork, WorkPoint
from ..framework.text_table import Printed
from ..framework.workload import Setting, Workload
from .observe import WIDEST, exact_and_counting

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

UNIFORM: Final = -1
"""In place of a shift: the uniform format of Base PTQ."""


@dataclass(frozen=True)
class RegisterPoint(WorkPoint):
    """Accuracy as one kind of register gets narrower, from the width that is exact on the images to where it fails.

    Attributes
    ----------
    operand : {"softmax", "gelu"}
    shift : int
        m of the twin format of every layer, or -1 for the uniform one.
    overflow : {"wrap", "saturate"}
    bits : int
        Of weights and activations.
    images : int
        Validation images.
    floor : float
        Narrower ones are not tried once top-1 is at or below this fraction of the exact one's.
    """

    kind: ClassVar[str] = "register_point"

    operand: Special
    shift: int
    overflow: str
    bits: int
    images: int
    floor: float

    def compute(self, workload: Workload) -> Data:
        """One row per width."""
        method = "base_ptq" if self.shift == UNIFORM else "ptq4vit"
        quantized = workload.quantized(Setting(method, self.bits, self.bits))
        layers = [layer for layer in quantized.layers.values() if layer.a_kind == self.operand]
        if self.shift != UNIFORM:
            for layer in layers:
                assert layer.formats is not None
                layer.formats = OperandFormats(shifted(layer.formats.a, self.shift), layer.formats.b)
        with exact_and_counting(quantized):
            exact = self._top1(workload, quantized, "exact")
        needed = max(layer.bounds["calibrated"].bits for layer in layers)
        quantized.accumulator = pq.Accumulator(bits=WIDEST)
        rows: list[dict[str, Any]] = []
        for width in range(needed, 1, -1):
            top1 = exact
            if width < needed:
                for layer in layers:
                    quantized.accumulators[layer.name] = pq.Accumulator(width, self.overflow)
                top1 = self._top1(workload, quantized, f"{self.overflow}, {width} bits")
            rows.append({"operand": self.operand, "shift": self.shift, "overflow": self.overflow, "width": width})
            rows[-1] |= {"images": self.images, "top1": top1}
            if top1 <= self.floor * exact:
                break
        return {"curve": Frame.of_rows(rows)}

    def _top1(self, workload: Workload, quantized: ptq.QuantizedModel, state: str) -> float:
        name = "uniform" if self.shift == UNIFORM else f"m = {self.shift}"
        with workload.progress(f"{TITLES[self.operand]}, {name}, {state}", "image") as report:
            return ptq.evaluate(quantized, workload.validation, limit=self.images, progress=report).top1


def shifted(formats: tuple[Any, ...], shift: int) -> tuple[Any, ...]:
    """Twin formats with another m; what the paper keeps fixed stays: R2 after softmax, R1 after GELU."""
    return tuple(replace(fmt, shift=shift) for fmt in formats)


@dataclass(frozen=True)
class WidthAccuracy(IllustratedTable):
    """Options.

    Attributes
    ----------
    softmax_shifts, gelu_shifts : tuple of int
        Shifts m of the twin formats; the uniform format is always shown.
    modes : tuple of str
        Overflow modes.
    bits : int
        Of weights and activations.
    images : int
        Validation images.
    floor : float
        Narrower registers are not tried once top-1 is at or below this fraction of the exact one's.
    """

    softmax_shifts: tuple[int, ...] = (3, 7, 11)
    gelu_shifts: tuple[int, ...] = (4, 5, 7)
    modes: tuple[str, ...] = ("wrap", "saturate")
    bits: int = 8
    images: int = 100
    floor: float = 0.1
    name: ClassVar[str] = "simulator.width_accuracy"
    title: ClassVar[str] = "Top-1 against the width of the accumulators after softmax and GELU"

    def _points(self) -> Iterator[RegisterPoint]:
        shifts: dict[Special, tuple[int, ...]] = {"softmax": self.softmax_shifts, "gelu": self.gelu_shifts}
        for operand, listed in shifts.items():
            for shift in (UNIFORM, *listed):
                for mode in self.modes:
                    yield RegisterPoint(operand, shift, mode, self.bits, self.images, self.floor)

    def tasks(self, workload: Workload) -> Iterator[UnitOfWork]:
        """Every curve."""
        yield from ((workload, point) for point in self._points())

    def compute(self, workload: Workload) -> Data:
        """One row per operand, format, overflow mode and width."""
        return {"curves": concatenate([point.data(workload)["curve"] for point in self._points()])}

    def printed(self, data: Data) -> Printed:
        """Of every curve the width that is exact, and the narrowest that keeps 99 % of its top-1."""
        rows = []
        for operand, shift, mode, shown in _curves(data["curves"]):
            top1, widths = shown.values("top1"), shown.values("width")
            good = widths[top1 >= 0.99 * top1[0]]
            # the narrowest of those above it that all keep it
            kept = next(w for w in widths[::-1] if w in good and all(v in good for v in widths[widths >= w]))
            line = (
                TITLES[operand],
                _label(shift).replace("$", ""),
                style.NAMES[mode],
                f"{widths[0]:.0f}",
                f"{kept:.0f}",
                f"{top1[0]:.2f}",
            )
            rows.append(line)
        note = (
            f"Exact: the width in which nothing overflows on {data['curves'].column('images')[0]:,} validation images. "
            "99 %: the narrowest that keeps 99 % of top-1, as all wider ones do. Only the operations after softmax, or "
            "after GELU, have this register; all others are exact."
        )
        title = f"{self.title}, {style.bits_label(self.bits, self.bits)}"
        return Printed(title, ("Operand", "Format", "Overflow", "Exact", "99 %", "Top-1"), tuple(rows), (note,))

    def render(self, data: Data) -> Drawing:
        """One panel per operand; color and marker tell the format, the line the overflow mode."""
        figure, axes = style.panels(1, 2, height=2.35, sharey=True)
        curves = data["curves"]
        for panel, wanted in zip(axes, ("softmax", "gelu"), strict=True):
            formats = curves.where(operand=wanted).distinct("shift")
            for operand, shift, mode, shown in _curves(curves):
                if operand == wanted:
                    color, marker = _FORMATS[formats.index(shift) % len(_FORMATS)]
                    panel.plot(
                        shown.values("width"), shown.values("top1"), color=color, marker=marker, markersize=2.5,
                        linestyle=_LINES[mode], linewidth=0.9,
                    )  # fmt: skip
            panel.set_title(TITLES[wanted])
            panel.set_xlabel("accumulator width $P$ / bits")
            widths = curves.where(operand=wanted).values("width")
            panel.set_xlim(widths.min() - 0.6, widths.max() + 0.6)
            panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            for at, shift in enumerate(formats):
                color, marker = _FORMATS[at % len(_FORMATS)]
                panel.plot([], [], marker, color=color, label=_label(shift))
            panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.27), ncols=2, handlelength=0.8, borderpad=0)
            panel.set_ylim(bottom=0)
        axes[0].set_ylabel("top-1 / %")
        lines = [Line2D([], [], color=style.GREY, linestyle=_LINES[mode]) for mode in self.modes]
        figure.legend(lines, [style.NAMES[mode] for mode in self.modes], loc="outside upper center", ncols=2)
        return figure


_FORMATS: Final = (
    (style.ORANGE, "s"), (style.BLUE, "o"), (style.GREEN, "^"), (style.PURPLE, "D"), (style.BLACK, "x"),
)  # fmt: skip
_LINES: Final[dict[str, Any]] = {"wrap": (0, (2, 1)), "saturate": "-", "trap": (0, (1, 1))}


def _curves(curves: Frame) -> Iterator[tuple[str, int, str, Frame]]:
    for operand in curves.distinct("operand"):
        for shift in curves.where(operand=operand).distinct("shift"):
            for mode in curves.distinct("overflow"):
                yield operand, shift, mode, curves.where(operand=operand, shift=shift, overflow=mode)


def _label(shift: int) -> str:
    return "Uniform" if shift == UNIFORM else f"Twin, $m={shift}$"
