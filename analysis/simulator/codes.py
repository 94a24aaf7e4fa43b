"""The codes that a format uses on real data, and the number of codes that it never uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

import ptqsim as pq
from ptqsim.ptq.network.products.blocked import plain_formats

from ..framework import style
from ..framework.activations import TITLES, special_layer
from ..framework.artifact import IllustratedTable
from ..framework.frame import Data, Frame, concatenate
from ..framework.text_table import Printed
from ..framework.workload import Setting, Workload

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

_METHODS: Final = ("base_ptq", "ptq4vit")  # uniform, and twin after softmax and GELU


@dataclass(frozen=True)
class Codes(IllustratedTable):
    """Options: the width k, and the block that the picture shows (the middle one if None)."""

    bits: int = 6
    block: int | None = None
    name: ClassVar[str] = "simulator.codes"
    title: ClassVar[str] = "Codes that each format uses, and never uses"

    def compute(self, workload: Workload) -> Data:
        """Occurrences of each code in the chosen block's operands; the number of unused codes of every operand.

        Heads have formats of their own, and their counts are added; a code is unused if it is in every head.
        """
        special = {special_layer(workload, kind, self.block): kind for kind in ("softmax", "gelu")}
        usage, frames = [], []
        for method in _METHODS:
            quantized = workload.quantized(Setting(method, self.bits, self.bits))
            with workload.progress(f"Codes, {style.NAMES[method]}", "layer") as report:
                for done, (name, layer) in enumerate(quantized.layers.items(), start=1):
                    data, formats = workload.captured[name], layer.formats
                    assert formats is not None
                    for side, values, given in (("a", data.a, formats.a), ("b", data.b, formats.b)):
                        own = plain_formats(given)
                        count = code_counts(values.numpy(), own)
                        about = {"method": method, "layer": name, "operand": side, "kind": own[0].kind}
                        usage.append(
                            {**about, "heads": len(own), "codes": len(count), "unused": int((count == 0).sum())}
                        )
                        if side == "a" and name in special:
                            histogram = _histogram(count, plain_formats(own)[0])
                            frames.append(Frame.of({**about, "input": special[name], **histogram}))
                    report(done, len(quantized.layers), name)
        return {"histogram": concatenate(frames), "usage": Frame.of_rows(usage)}

    def printed(self, data: Data) -> Printed:
        """Unused codes by format and operand, over all layers."""
        rows = []
        usage = data["usage"]
        for method in usage.distinct("method"):
            for kind in usage.where(method=method).distinct("kind"):
                for side in usage.where(method=method, kind=kind).distinct("operand"):
                    shown = usage.where(method=method, kind=kind, operand=side)
                    unused = shown.values("unused")
                    spread = f"{unused.min():.0f}–{unused.max():.0f}"
                    label = kind.replace("_", " ")
                    rows.append(
                        (style.NAMES[method], label, side.upper(), str(len(shown)), f"{unused.mean():.1f}", spread)
                    )
        note = (
            f"Of {2**self.bits} codes of {self.bits} bits, how many occur nowhere in an operand on the calibration "
            "images: mean and range over the layers. A twin format has redundant codes that are never emitted: a "
            "second zero, and codes of R2 whose value R1 has as well."
        )
        columns = ("Method", "Format", "Operand", "Layers", "Unused", "Range")
        return Printed(f"{self.title}, {style.bits_label(self.bits, self.bits)}", columns, tuple(rows), (note,))

    def render(self, data: Data) -> Drawing:
        """Uniform above, twin below; the codes in the order of their values."""
        figure, axes = style.panels(2, 2, height=2.5)
        histogram = data["histogram"]
        for row, method in enumerate(histogram.distinct("method")):
            for column, kind in enumerate(("softmax", "gelu")):
                shown = histogram.where(method=method, input=kind)
                _draw(axes[2 * row + column], shown)
                if row == 0:
                    axes[column].set_title(TITLES[kind])
        axes[0].set_ylabel("uniform: share")
        axes[2].set_ylabel("twin: share")
        figure.supxlabel("code, in the order of the values", fontsize=8)
        return figure


def code_counts(values: NDArray[np.float32], formats: Any) -> NDArray[np.int64]:
    """Number of occurrences of each code in values [G, ...], each group in its own format."""
    total = np.zeros(formats[0].code_count, np.int64)
    for group, fmt in enumerate(formats):
        total += np.bincount(fmt.encode(values[group]).ravel(), minlength=fmt.code_count)
    return total


def _histogram(count: NDArray[np.int64], fmt: pq.NumberFormat) -> dict[str, Any]:
    """By code in the order of the aligned values; a head's m may differ, and the order is that of the first."""
    order = np.lexsort((np.arange(fmt.code_count), fmt.aligned_table()))
    flag = np.arange(fmt.code_count) >> (fmt.bits - 1)
    names = np.array(["R1", "R2"])[flag] if len(fmt.ranges()) == 2 else np.full(fmt.code_count, "")
    return {
        "code": order,
        "range": [str(name) for name in names[order]],
        "aligned": fmt.aligned_table()[order],
        "count": count[order],
        "share": count[order] / count.sum(),
    }


def _draw(axes: Axes, shown: Frame) -> None:
    share, at = shown.values("share"), np.arange(len(shown))
    ranges = np.array(shown.column("range"))
    for name in dict.fromkeys(shown.column("range")):
        color = style.LOOKS[name or "uniform"].color
        mine = ranges == name
        axes.bar(at[mine], share[mine], width=1.0, color=color, label=name and style.LOOKS[name].label)
    unused = int((shown.values("count") == 0).sum())
    axes.set_yscale("log")
    axes.set_ylim(share[share > 0].min() / 3, 30.0)
    axes.set_yticks([10.0**e for e in range(-8, 1, 2) if 10.0**e > axes.get_ylim()[0]])
    axes.minorticks_off()
    axes.set_xlim(-1, len(shown))
    axes.set_xticks([])
    corner: Any = {"transform": axes.transAxes, "ha": "right", "va": "top", "fontsize": 7}
    axes.text(0.98, 0.97, f"{unused} of {len(shown)} unused", **corner)
    if ranges[0]:
        handles, labels = axes.get_legend_handles_labels()
        axes.legend(handles, labels, loc="upper left", handlelength=0.8, ncols=2, bbox_to_anchor=(0.0, 0.88))
