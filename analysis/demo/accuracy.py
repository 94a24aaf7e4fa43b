"""Top-1 and cross-entropy of every method and width, by fake quantization and in exact integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ptqsim import ptq

from ..framework import style
from ..framework.artifact import IllustratedTable
from ..framework.frame import Data, Frame
from ..framework.text_table import Printed
from ..framework.workload import Setting, Workload

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


@dataclass(frozen=True)
class Accuracy(IllustratedTable):
    """Options: methods, widths (of weights and activations) and the number of validation images."""

    methods: tuple[str, ...] = ("base_ptq", "ptq4vit")
    widths: tuple[int, ...] = (8, 6, 4)
    images: int = 2000
    name: ClassVar[str] = "demo.accuracy"
    title: ClassVar[str] = "Accuracy of the float network and of its quantized versions"

    def compute(self, workload: Workload) -> Data:
        """One row per method, width and mode; integer rows are compared with fake quantization."""
        exact = workload.evaluated(None, "float", self.images)
        rows = [_row("float", None, "float", exact, exact, None)]
        for bits in self.widths:
            for method in self.methods:
                setting = Setting(method, bits, bits)
                fake = workload.evaluated(setting, "fake_quant", self.images)
                integer = workload.evaluated(setting, "integer", self.images)
                rows.append(_row(method, bits, "fake_quant", fake, exact, None))
                rows.append(_row(method, bits, "integer", integer, exact, ptq.difference(integer, fake)))
        return {"accuracy": Frame.of_rows(rows)}

    def printed(self, data: Data) -> Printed:
        """The papers' layout, with what integer arithmetic changes."""
        rows = []
        compared = 0
        for row in data["accuracy"].records():
            measured = (f"{row['top1']:.2f}", f"{row['cross_entropy']:.4f}", f"{row['kl']:.4f}")
            if row["method"] == "float":
                rows.append(("", style.NAMES["float"], "", *measured, "", "", ""))
                continue
            change = ("", "", "")
            if row["mode"] == "integer":
                compared = row["logits_compared"]
                largest = f"{row['largest_difference']:.2g}"
                change = (f"{row['logits_differ']:,}", str(row["predictions_differ"]), largest)
            bits = style.bits_label(row["w_bits"], row["a_bits"])
            rows.append((bits, style.NAMES[row["method"]], row["mode"], *measured, *change))
        images = data["accuracy"].column("images")[0]
        columns = ("Bits", "Method", "Mode", "Top-1", "CE", "KL", "Logits ≠", "Top-1 ≠", "Largest")
        note = (
            f"Top-1 in percent; KL(float || quantized) in nats, a mean over the images. On the right, integer against "
            f"fake_quant: how many of {compared:,} logits and of "
            f"{images:,} predictions differ, and the largest difference of two logits. float32 rounds the sums that "
            "integers keep exact, and a value that this moves past a rounding boundary changes what comes after it."
        )
        return Printed(f"Accuracy on {images:,} validation images", columns, tuple(rows), (note,))

    def render(self, data: Data) -> Drawing:
        """Top-1 against the width; the float network is the line above."""
        figure, (axes,) = style.panels(height=1.9)
        table = data["accuracy"]
        widths = [bits for bits in table.distinct("w_bits") if bits is not None]
        look = style.LOOKS["float"]
        axes.axhline(
            table.where(method="float").column("top1")[0], color=look.color, linestyle=look.line, label=look.label
        )
        at = np.arange(len(widths))
        for method in [m for m in table.distinct("method") if m != "float"]:
            look = style.LOOKS[method]
            by_mode = {mode: table.where(method=method, mode=mode).values("top1") for mode in ("fake_quant", "integer")}
            axes.plot(
                at, by_mode["fake_quant"], color=look.color, linestyle=look.line, marker=look.marker, label=look.label
            )
            axes.plot(
                at, by_mode["integer"], look.marker, color=look.color, markerfacecolor="none", markersize=7,
                markeredgewidth=0.7, label=f"{look.label}, integer",
            )  # fmt: skip
        axes.set_xticks(at, [style.bits_label(bits, bits) for bits in widths])
        axes.set_xlim(-0.3, len(widths) - 0.7)
        axes.set_ylabel("top-1 / %")
        axes.legend(loc="lower left")
        return figure


def _row(
    method: str,
    bits: int | None,
    mode: str,
    found: ptq.Evaluation,
    exact: ptq.Evaluation,
    change: ptq.Difference | None,
) -> dict[str, Any]:
    return {
        "method": method,
        "w_bits": bits,
        "a_bits": bits,
        "mode": mode,
        "images": found.images,
        "top1": found.top1,
        "cross_entropy": found.cross_entropy,
        **ptq.difference(found, exact).metrics,
        "logits_compared": change and change.of,
        "logits_differ": change and change.logits,
        "predictions_differ": change and change.predictions,
        "largest_difference": change and change.largest,
    }
