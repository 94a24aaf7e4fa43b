"""Every quantized operation: its depth, its formats, and how wide its accumulator must be by each bound."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from matplotlib.figure import Figure as Drawing

import ptqsim as pq
from analysis import style
from analysis.artifact import IllustratedTable
from analysis.frame import Data, Frame
from analysis.printed import Printed
from analysis.workload import Setting, Workload
from ptqsim import ptq
from ptqsim.ptq.execute import OverflowCount
from ptqsim.ptq.operations import MatmulOperation

THEOREMS: Final = ("datatype", "weight_aware", "row_stochastic")
BOUNDS: Final = (*THEOREMS, "calibrated")
_LETTERS: Final = {"uniform": "U", "twin_softmax": "S", "twin_gelu": "G"}
WIDEST: Final = 48
"""Bits of an accumulator in which nothing overflows, to observe how many are needed."""


@dataclass(frozen=True)
class Operations(IllustratedTable):
    """Options: the method and the width of weights and activations."""

    method: str = "ptq4vit"
    bits: int = 8
    name: ClassVar[str] = "demo.operations"
    title: ClassVar[str] = "Formats and accumulator widths of every operation"

    def compute(self, workload: Workload) -> Data:
        """One row per operation.  ``calibrated`` is the width that the calibration images need: an observation."""
        setting = Setting(self.method, self.bits, self.bits)
        quantized = workload.quantized(setting)
        title = f"{setting.label}, observed widths"
        with workload.progress(title, "image") as report, exact_and_counting(quantized):
            for done, batch in enumerate(workload.calibration_images.split(8), start=1):
                quantized(batch)
                report(min(8 * done, workload.images), workload.images, "")
        rows = []
        for name, layer in quantized.layers.items():
            widths: dict[str, int | None] = dict.fromkeys(BOUNDS)
            widths.update({bound: found.bits for bound, found in layer.bounds.items()})
            rows.append({"layer": name, "kind": layer.kind, "depth": layer.depth, **_formats(layer), **widths})
        return {"operations": Frame.of_rows(rows)}

    def printed(self, data: Data) -> Printed:
        """One line per operation; of several heads the shifts are given as a range."""
        rows: list[tuple[str, ...]] = []
        for row in data["operations"].records():
            low, high = row["shift_min"], row["shift_max"]
            shift = "" if low is None else str(low) if low == high else f"{low}–{high}"
            formats = " × ".join(f"{_LETTERS[row[f'{side}_format']]}{row[f'{side}_bits']}" for side in "ab")
            widths = ["" if row[bound] is None else str(row[bound]) for bound in BOUNDS]
            rows.append((row["layer"], str(row["depth"]), formats, shift, *widths))
        columns = ("Operation", "K", "A × B", "m", "Data", "Weight", "Row", "Seen")
        notes = (
            "A × B: formats and their bits (U uniform, S twin softmax, G twin GELU). Then the accumulator width in "
            "bits by each bound that applies: datatype, weight-aware and row-stochastic hold for every input; the last "
            "was seen on the calibration images.",
        )
        title = f"Accumulator widths, {style.NAMES[self.method]} {style.bits_label(self.bits, self.bits)}"
        return Printed(title, columns, tuple(rows), notes)

    def render(self, data: Data) -> Drawing:
        """Width by each bound, along the network."""
        table = data["operations"]
        figure, (axes,) = style.panels(width=style.DOUBLE, height=2.6)
        at = np.arange(len(table))
        for bound in BOUNDS:
            look = style.LOOKS[bound]
            axes.plot(at, table.values(bound), look.marker, linestyle="none", color=look.color, label=look.label)
        axes.set_xticks(at, table.column("layer"), rotation=90, fontsize=6)
        axes.set_xlim(-0.6, len(at) - 0.4)
        axes.set_ylabel("accumulator width / bits")
        axes.grid(axis="y", color=style.PALE, linewidth=0.4)
        figure.legend(loc="outside upper center", ncols=len(BOUNDS))
        return figure


@contextmanager
def exact_and_counting(quantized: ptq.QuantizedModel) -> Iterator[None]:
    """Exact integers with statistics; afterwards the layers' ``calibrated`` bounds are of what was run within."""
    quantized.mode, quantized.accumulator, quantized.statistics = "integer", pq.Accumulator(bits=WIDEST), True
    for layer in quantized.layers.values():
        layer.integer.overflow = OverflowCount()
    try:
        yield
    finally:
        quantized.statistics = False


def _formats(layer: MatmulOperation) -> dict[str, Any]:
    formats = layer.formats
    assert formats is not None, "a calibrated model has formats everywhere"
    shifts = [fmt.shift for fmt in (*formats.a, *formats.b) if not isinstance(fmt, pq.Uniform)]
    return {
        "a_format": formats.a[0].kind,
        "a_bits": formats.a[0].bits,
        "b_format": formats.b[0].kind,
        "b_bits": formats.b[0].bits,
        "groups": max(len(formats.a), len(formats.b)),
        "shift_min": min(shifts, default=None),
        "shift_max": max(shifts, default=None),
    }
