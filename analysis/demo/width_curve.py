"""Top-1 as the accumulator of every operation gets narrower: where does it break?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import ptqsim as pq
from ptqsim import ptq

from ..framework import style
from ..framework.artifact import IllustratedTable
from ..framework.frame import Data, Frame
from ..framework.text_table import Printed
from ..framework.workload import Setting, Workload
from ..simulator.observe import THEOREMS, exact_and_counting, safe_width

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


@dataclass(frozen=True)
class WidthCurve(IllustratedTable):
    """Options.

    Attributes
    ----------
    method : str
    bits : int
        Width of weights and activations.
    modes : tuple of str
        Overflow modes.
    images : int
        Validation images.
    floor : float
        Narrower accumulators are not tried once top-1 is at or below this fraction of the exact one's.
    """

    method: str = "ptq4vit"
    bits: int = 8
    modes: tuple[str, ...] = ("wrap", "saturate")
    images: int = 256
    floor: float = 0.1
    name: ClassVar[str] = "demo.width_curve"
    title: ClassVar[str] = "Top-1 against the width of every accumulator"

    def compute(self, workload: Workload) -> Data:
        """Start at the width that is exact on these images and go down, one bit at a time."""
        setting = Setting(self.method, self.bits, self.bits)
        quantized = workload.quantized(setting)
        exact = self._point(workload, quantized, None)
        rows = []
        for mode in self.modes:
            for bits in range(exact["bits_needed"], 1, -1):
                point = exact if bits == exact["bits_needed"] else self._point(workload, quantized, (bits, mode))
                rows.append(
                    {"mode": mode, "bits": bits, **{name: point[name] for name in ("images", "top1", "cross_entropy")}}
                )
                if point["top1"] <= self.floor * exact["top1"]:
                    break
        safe = {
            "datatype": safe_width(quantized, ("datatype",)),
            "tightest": safe_width(quantized, THEOREMS),
            "observed": exact["bits_needed"],
        }
        return {"curve": Frame.of_rows(rows), "safe": Frame.of({"bound": safe.keys(), "bits": safe.values()})}

    def _point(
        self, workload: Workload, quantized: ptq.QuantizedModel, register: tuple[int, str] | None
    ) -> dict[str, Any]:
        """Accuracy with one register for every operation; with None, also the width that is exact. Each is kept."""
        setting = f"{self.method} W{self.bits}A{self.bits}"
        key = {**workload.key(), "setting": setting, "register": register and list(register), "images": self.images}

        def compute() -> Data:
            label = "exact" if register is None else f"{register[1]}, {register[0]} bits"
            with workload.progress(f"Width curve, {label}", "image") as report:
                if register is None:
                    with exact_and_counting(quantized):
                        found = ptq.evaluate(quantized, workload.validation, limit=self.images, progress=report)
                    needed = safe_width(quantized, ("calibrated",))
                else:
                    quantized.mode, quantized.accumulator = "integer", pq.Accumulator(register[0], register[1])
                    needed = None
                    found = ptq.evaluate(quantized, workload.validation, limit=self.images, progress=report)
            row = {
                "images": found.images,
                "top1": found.top1,
                "cross_entropy": found.cross_entropy,
                "bits_needed": needed,
            }
            return {"point": Frame.of_rows([row])}

        return workload.store.data("width_point", key, compute)["point"].records()[0]

    def printed(self, data: Data) -> Printed:
        """One line per width; a mode that was given up below its floor leaves an empty cell."""
        curve = data["curve"]
        rows = []
        for bits in sorted(set(curve.column("bits")), reverse=True):
            cells = [curve.where(mode=mode, bits=bits).column("top1") for mode in self.modes]
            marks = [style.NAMES[row["bound"]] for row in data["safe"].records() if row["bits"] == bits]
            rows.append((str(bits), *(f"{cell[0]:.2f}" if cell else "" for cell in cells), ", ".join(marks)))
        columns = ("P / bits", *(f"{style.NAMES[mode]}, top-1 %" for mode in self.modes), "")
        safe = ", ".join(f"{style.NAMES[row['bound']]} {row['bits']}" for row in data["safe"].records())
        images = curve.column("images")[0]
        label = f"{style.NAMES[self.method]} {style.bits_label(self.bits, self.bits)}"
        note = f"Widths that are safe for every operation, in bits: {safe}."
        return Printed(f"{self.title}, {label}, {images:,} images", columns, tuple(rows), (note,))

    def render(self, data: Data) -> Drawing:
        """One curve per overflow mode, the safe widths as vertical lines."""
        figure, (axes,) = style.panels(height=2.0)
        for mode in data["curve"].distinct("mode"):
            look, shown = style.LOOKS[mode], data["curve"].where(mode=mode)
            axes.plot(
                shown.values("bits"), shown.values("top1"), color=look.color, linestyle=look.line, marker=look.marker,
                label=look.label,
            )  # fmt: skip
        top = data["curve"].values("top1").max()
        widest = max(data["safe"].column("bits"))
        exact = data["curve"].column("bits")[0]
        axes.plot([exact, widest], [top, top], color=style.GREY, linewidth=0.8, zorder=1)
        for row in data["safe"].records():
            look = style.LOOKS[row["bound"]]
            axes.axvline(row["bits"], color=look.color, linestyle=look.line, linewidth=0.7, zorder=0)
            axes.text(
                row["bits"], 0.02, f" {look.label} ", transform=axes.get_xaxis_transform(), rotation=90, fontsize=6,
                ha="right", va="bottom", color=look.color,
            )  # fmt: skip
        axes.set_xlabel("accumulator width $P$ / bits")
        axes.set_ylabel("top-1 / %")
        axes.set_ylim(bottom=0)
        axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=len(self.modes), borderaxespad=0.2)
        return figure
