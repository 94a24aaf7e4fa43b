"""Accuracy against gates of the formulations of softmax and GELU, and the share of a block that is nonlinear."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ptqsim.rtl.synthesis.designs import DesignPoint
from ptqsim.rtl.synthesis.integer_units import UnitPoint
from ptqsim.rtl.synthesis.sweep import RESOLUTION

from ..framework import style
from ..framework.artifact import IllustratedTable
from ..framework.frame import Data, Frame
from ..framework.points import UnitOfWork
from ..framework.style import Look
from ..framework.text_table import Printed
from ..framework.workload import Workload
from ..integer_only.choices import CONTROL, choice
from ..integer_only.point import UnitsPoints
from ..methods.entries import entry
from .costs import costs, counted, origin

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

_CHOICES: Final = {
    ("softmax", "table"): "all",
    ("softmax", "shiftmax"): "softmax.shiftmax",
    ("softmax", "i_exp"): "softmax.i_exp",
    ("softmax", "ita"): "softmax.ita",
    ("gelu", "table"): "all",
    ("gelu", "shift_gelu"): "gelu.shift_gelu",
    ("gelu", "i_gelu"): "gelu.i_gelu",
}
"""Formulation of a unit in hardware, and the line of the ladder that has it in a network."""

_LOOKS: Final = {
    "table": Look("Table", style.BLUE, "-", "o"),
    "shiftmax": Look("Shiftmax (I-ViT)", style.ORANGE, (0, (4, 1.5)), "s"),
    "i_exp": Look("i-exp (I-BERT)", style.GREEN, (0, (4, 1.5, 1, 1.5)), "^"),
    "ita": Look("ITA", style.PURPLE, (0, (1, 1)), "D"),
    "shift_gelu": Look("ShiftGELU (I-ViT)", style.ORANGE, (0, (4, 1.5)), "s"),
    "i_gelu": Look("I-GELU (I-BERT)", style.GREEN, (0, (4, 1.5, 1, 1.5)), "^"),
}
_TITLES: Final = {"softmax": "Softmax", "gelu": "GELU"}

_NONLINEAR: Final = {("softmax", "table"): 1, ("layernorm", "newton"): 2, ("gelu", "table"): 1}
_LINEAR: Final = {("rescale", "tensor"): 4, ("residual", "tensor"): 2}
"""Units of a block: rescaling of Q, K, V and of the output of the heads, and two residual sums."""

_SHARES: Final = (
    Look("", style.BLUE, "-", "o"),
    Look("", style.VERMILION, (0, (4, 1.5)), "s"),
    Look("", style.BLACK, (0, (1, 1)), "^"),
)


@dataclass(frozen=True)
class UnitAccuracy(IllustratedTable):
    """Networks whose softmax, or whose GELU, has another formulation, beside the transistors of that unit.

    All other units have their defaults.  The share of an encoder block that is nonlinear is that of one softmax, one
    GELU and two LayerNorms beside the multipliers of one tile, four rescalings and two residual sums; memories and the
    sequencer are not counted.

    Attributes
    ----------
    widths : tuple of int
        Widths k of weights, activations and codes of units; at most 3, of those that are kept: 4, 6 and 8.
    columns : tuple of int
        Multipliers of a tile.
    acc_bits : int
        Accumulators of the tile.
    method : str
        Calibration, by the names of :data:`analysis.methods.entries.ENTRIES`.
    images : int
        Validation images.
    """

    widths: tuple[int, ...] = (8, 6, 4)
    columns: tuple[int, ...] = (16, 32, 64, 128, 256, 512)
    acc_bits: int = 24
    method: str = "ptq4vit"
    images: int = 1000
    name: ClassVar[str] = "hardware.unit_accuracy"
    title: ClassVar[str] = "Divergence from float against transistors of softmax and GELU"

    def __post_init__(self) -> None:
        entry(self.method)
        if not 1 <= len(self.widths) <= len(_SHARES):
            raise ValueError(f"{len(self.widths)} widths were given; legal are 1 to {len(_SHARES)}: try -O widths=8,6")

    def key(self, workload: Workload) -> dict[str, Any]:
        """The options, the model, and what the counts come from."""
        return {**super().key(workload), **origin()}

    def tasks(self, workload: Workload) -> Iterator[UnitOfWork]:
        """All formulations at one width are one task, as they share its calibration."""
        yield from ((workload, self._points(bits)) for bits in self.widths)

    def _points(self, bits: int) -> UnitsPoints:
        names = dict.fromkeys((CONTROL.name, *_CHOICES.values()))
        return UnitsPoints(entry(self.method), bits, tuple(map(choice, names)), self.images)

    def compute(self, workload: Workload) -> Data:
        """One row per unit, formulation and width; one per width and number of columns."""
        rows: list[dict[str, Any]] = []
        shares: list[dict[str, Any]] = []
        for bits in self.widths:
            found = {row["choice"]: row for row in self._points(bits).data(workload)["point"].records()}
            ran = [unit for unit, name in _CHOICES.items() if found[name]["refused"] is None]
            made = self._transistors(bits, workload, [unit for unit in ran if _exists(UnitPoint(*unit, bits))])
            (control,) = (row["kl"] for name, row in found.items() if name == CONTROL.name)
            for (unit, formulation), name in _CHOICES.items():
                if (unit, formulation) in made:
                    about = {"unit": unit, "formulation": formulation, "bits": bits, "integer_kl": control}
                    measured = {metric: found[name][metric] for metric in ("kl", "top1", "images")}
                    rows.append(about | measured | made[unit, formulation])
            shares += self._shares(bits, workload)
        return {"units": Frame.of_rows(rows), "shares": Frame.of_rows(shares)}

    def _transistors(
        self, bits: int, workload: Workload, wanted: list[tuple[str, str]]
    ) -> dict[tuple[str, str], dict[str, Any]]:
        points = [UnitPoint(unit, formulation, bits) for unit, formulation in wanted]
        return dict(zip(wanted, map(counted, costs(points, workload)), strict=True))

    def _shares(self, bits: int, workload: Workload) -> Iterator[dict[str, Any]]:
        units = self._transistors(bits, workload, [*_NONLINEAR, *_LINEAR])
        nonlinear, linear = (
            sum(count * units[unit]["transistors"] for unit, count in kinds.items()) for kinds in (_NONLINEAR, _LINEAR)
        )
        # m of each layer is an input of its processing elements, as one tile serves all layers
        (element,) = costs([DesignPoint("gelu_runtime", bits, 8, self.acc_bits, "saturate")], workload)
        each = counted(element)["per_mac"]
        for columns in self.columns:
            tile = columns * each
            yield {
                "bits": bits, "columns": columns, "tile": tile, "nonlinear": nonlinear, "other": linear,
                "share": 100 * nonlinear / (nonlinear + linear + tile),
            }  # fmt: skip

    def printed(self, data: Data) -> Printed:
        """One line per unit, formulation and width."""
        rows = [
            (
                _TITLES[row["unit"]],
                _LOOKS[row["formulation"]].label,
                style.bits_label(row["bits"], row["bits"]),
                f"{row['transistors']:,}",
                str(row["depth"]),
                f"{row['kl']:.4f}",
                f"{row['kl'] - row['integer_kl']:+.4f}",
                f"{row['top1']:.2f}",
            )
            for row in data["units"].records()
        ]
        shares = "; ".join(
            f"{row['share']:.0f} % at k = {row['bits']} with {row['columns']}"
            for row in data["shares"].records()
            if row["columns"] in (min(self.columns), max(self.columns))
        )
        notes = (
            f"{entry(self.method).label}, {data['units'].column('images')[0]:,} validation images, one draw; all other "
            "units have their defaults. KL(float || quantized) in nats, and its difference from integer mode, whose "
            "functions between products are float32.",
            f"{data['units'].column('tool')[0]}; one element per cycle, rows of 197 scores and 192 features, scores of "
            f"18 bits; without the memory of a row. Gaps under {RESOLUTION:.0%} are not resolved.",
            "Share of softmax, GELU and two LayerNorms in the transistors of a block with that many multipliers: "
            f"{shares}.",
        )
        columns = ("Unit", "Formulation", "Bits", "Transistors", "Depth", "KL", "Δ KL", "Top-1")
        return Printed(self.title, columns, tuple(rows), notes)

    def render(self, data: Data) -> Drawing:
        """Softmax, GELU, and the share of a block; a curve goes through the widths of one formulation."""
        figure, axes = style.panels(1, 3, width=style.DOUBLE, height=2.6)
        for panel, unit in zip(axes, _TITLES, strict=False):
            self._panel(panel, unit, data["units"].where(unit=unit))
        axes[1].sharey(axes[0])
        axes[1].tick_params(labelleft=False)
        axes[0].set_ylabel("KL to float / nats")
        self._share(axes[2], data["shares"])
        return figure

    def _panel(self, panel: Axes, unit: str, found: Frame) -> None:
        controls = dict(zip(found.values("bits"), found.values("integer_kl"), strict=True))
        for bits, control in controls.items():
            panel.axhline(control, color=style.GREY, linewidth=0.7, linestyle=":", zorder=0)
            if unit == "softmax":  # both panels have the same axis
                panel.annotate(
                    f"integer mode, $k={bits:g}$", (0, control), (2, 2), xycoords=("axes fraction", "data"),
                    textcoords="offset points", color=style.GREY, fontsize=6,
                )  # fmt: skip
        for name, look in _LOOKS.items():
            shown = found.where(formulation=name)
            if len(shown.rows):
                panel.plot(
                    shown.values("transistors") / 1000, shown.values("kl"), color=look.color, linestyle=look.line,
                    marker=look.marker, markersize=3, linewidth=0.9, label=look.label,
                )  # fmt: skip
        panel.set_title(_TITLES[unit])
        panel.set_xlabel("transistors / 1000")
        panel.set_xlim(left=0)
        panel.set_yscale("log")
        panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.25), fontsize=6, labelspacing=0.3)

    def _share(self, panel: Axes, shares: Frame) -> None:
        for look, bits in zip(_SHARES, self.widths, strict=False):
            shown = shares.where(bits=bits)
            panel.plot(
                shown.values("columns"), shown.values("share"), color=look.color, linestyle=look.line,
                marker=look.marker, markersize=3, linewidth=0.9, label=f"$k={bits}$",
            )  # fmt: skip
        panel.set_xscale("log", base=2)
        panel.set_xticks(self.columns, [str(columns) for columns in self.columns])
        panel.minorticks_off()
        panel.set_ylim(0, 100)
        panel.set_title("Encoder block")
        panel.set_xlabel("multipliers of the tile")
        panel.set_ylabel("nonlinear share / %")
        panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.25), fontsize=6, labelspacing=0.3)


def _exists(point: UnitPoint) -> bool:
    """False where a formulation has no unit of that width: ShiftGELU takes no pre-activation of 4 bits."""
    try:
        point.module()
    except ValueError:
        return False
    return True
