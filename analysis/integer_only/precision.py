"""The precision that integer units need: divergence from float by residual bits, table size and bits of the root."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, ScalarFormatter

from ..framework import style
from ..framework.artifact import IllustratedTable
from ..framework.frame import Data, Frame
from ..framework.points import UnitOfWork
from ..framework.style import Look
from ..framework.text_table import Printed
from ..framework.workload import Workload
from ..methods.entries import entry
from .choices import CONTROL, Choice
from .point import UnitsPoints

_LOOKS: Final = (
    Look("", style.BLUE, "-", "o"),
    Look("", style.ORANGE, (0, (4, 1.5)), "s"),
    Look("", style.GREEN, (0, (4, 1.5, 1, 1.5)), "^"),
    Look("", style.VERMILION, (0, (2, 1)), "D"),
)
"""Of the widths, in their order."""

_AXES: Final = {
    "residual": "bits of the residual",
    "table": "entries of softmax's table",
    "root": "bits of LayerNorm's root",
}
"""Axes: what is varied, and the label."""


@dataclass(frozen=True)
class Precision(IllustratedTable):
    """Options of units, each varied while all others have their defaults.

    Attributes
    ----------
    widths : tuple of int
        Of weights and activations; at most 4.
    residual : tuple of int
        Bits of the residual stream, with a scale for every addition.
    table : tuple of int
        Entries of softmax's table, powers of two.
    root : tuple of int
        Bits p of LayerNorm's reciprocal root.
    method : str
        Calibration, by the names of :data:`analysis.methods.entries.ENTRIES`.
    images : int
        Validation images.
    """

    widths: tuple[int, ...] = (8, 6, 4)
    residual: tuple[int, ...] = (6, 7, 8, 10, 12, 16)
    table: tuple[int, ...] = (1, 2, 4, 8, 16, 64)
    root: tuple[int, ...] = (4, 5, 6, 8, 12, 16)
    method: str = "ptq4vit"
    images: int = 500
    name: ClassVar[str] = "integer_only.precision"
    title: ClassVar[str] = "Divergence from float against the precision of integer units"

    def __post_init__(self) -> None:
        entry(self.method)
        if not 1 <= len(self.widths) <= len(_LOOKS):
            raise ValueError(f"{len(self.widths)} widths were given; legal are 1 to {len(_LOOKS)}: try -O widths=8,6")
        for one in self._choices():
            one.units()

    def _choices(self) -> list[Choice]:
        return [CONTROL] + [_varied(what, value) for what in _AXES for value in getattr(self, what)]

    def _points(self, bits: int) -> UnitsPoints:
        return UnitsPoints(entry(self.method), bits, tuple(self._choices()), self.images)

    def tasks(self, workload: Workload) -> Iterator[UnitOfWork]:
        """All precisions at one width are one task, as they share its calibration."""
        yield from ((workload, self._points(bits)) for bits in self.widths)

    def compute(self, workload: Workload) -> Data:
        """One row per width and precision; what is varied is ``integer`` in the rows of integer mode."""
        rows: list[dict[str, Any]] = []
        for bits in self.widths:
            found = {row["choice"]: row for row in self._points(bits).data(workload)["point"].records()}
            for one in self._choices():
                what, _, value = one.name.partition(".")
                row = found[one.name]
                about = {"bits": bits, "varied": what, "value": int(value) if value else None}
                rows.append(about | {name: row[name] for name in ("kl", "cross_entropy", "top1", "images", "refused")})
        return {"points": Frame.of_rows(rows)}

    def printed(self, data: Data) -> Printed:
        """One line per width and precision."""
        rows = [
            (
                style.bits_label(row["bits"], row["bits"]),
                "Integer mode" if row["varied"] == CONTROL.name else _AXES[row["varied"]],
                "" if row["value"] is None else str(row["value"]),
                *(("",) * 3 if row["kl"] is None else _numbers(row)),
            )
            for row in data["points"].records()
        ]
        note = (
            f"{entry(self.method).label}, {int(data['points'].values('images').max()):,} validation images; all other "
            "options have their defaults. KL(float || quantized) and cross-entropy in nats, top-1 in percent."
        )
        return Printed(self.title, ("Bits", "Varied", "", "KL", "CE", "Top-1"), tuple(rows), (note,))

    def render(self, data: Data) -> Drawing:
        """A panel for each option, a curve for each width, and integer mode as a dotted line."""
        figure, panels = style.panels(1, len(_AXES), width=style.DOUBLE, height=2.1, sharey=True)
        for axes, (what, label) in zip(panels, _AXES.items(), strict=True):
            for look, bits in zip(_LOOKS, self.widths, strict=False):
                points = data["points"].where(bits=bits)
                (control,) = points.where(varied=CONTROL.name).column("kl")
                axes.axhline(control, color=look.color, linewidth=0.7, linestyle=":", zorder=0)
                shown = sorted(
                    (row["value"], row["kl"]) for row in points.where(varied=what).records() if row["kl"] is not None
                )
                axes.plot(
                    *zip(*shown, strict=True), color=look.color, linestyle=look.line, marker=look.marker,
                    label=style.bits_label(bits, bits),
                )  # fmt: skip
            axes.set_xlabel(label)
            _ticks(axes, getattr(self, what), logarithmic=what == "table")
        panels[0].set_ylabel("KL to float / nats")
        panels[0].set_yscale("log")
        panels[0].yaxis.set_minor_formatter(NullFormatter())
        handles = [
            *panels[0].get_legend_handles_labels()[0],
            Line2D([], [], color=style.GREY, linewidth=0.7, linestyle=":"),
        ]
        labels = [*panels[0].get_legend_handles_labels()[1], "Integer mode"]
        figure.legend(handles, labels, loc="outside upper center", ncols=len(handles))
        return figure


def _varied(what: str, value: int) -> Choice:
    options: dict[str, dict[str, Any]] = {
        "residual": {"residual_bits": value},
        "table": {"softmax": {"entries": value}},
        "root": {"layer_norm": {"precision": value}},
    }
    return Choice(f"{what}.{value}", f"{_AXES[what]} {value}", options[what])


def _numbers(row: dict[str, Any]) -> tuple[str, str, str]:
    return f"{row['kl']:.4f}", f"{row['cross_entropy']:.4f}", f"{row['top1']:.2f}"


def _ticks(axes: Axes, values: tuple[int, ...], logarithmic: bool) -> None:
    """A tick at every value."""
    if logarithmic:
        axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(sorted(values)))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
