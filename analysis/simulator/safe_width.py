"""The safe accumulator width of every layer by each bound."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import torch
from matplotlib.ticker import MaxNLocator

from ptqsim import ptq
from ptqsim.common import fingerprint
from ptqsim.ptq.evaluation.summary import format_facts

from ..framework import style
from ..framework.artifact import IllustratedTable
from ..framework.frame import Data, Frame
from ..framework.text_table import Printed
from ..framework.workload import Setting, Workload
from .observe import BOUNDS, exact_and_counting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

_ROW: Final = 0.104
"""Height of a layer's line in inches: letters of 6 points."""
_MARKS: Final = {  # size, and whether it is filled: where several of one layer agree, all are seen
    "datatype": (5.0, False),
    "weight_aware": (4.2, False),
    "row_stochastic": (4.0, False),
    "calibrated": (3.0, True),
}
_LETTERS: Final = {"uniform": "U", "twin_softmax": "S", "twin_gelu": "G"}


@dataclass(frozen=True)
class SafeWidth(IllustratedTable):
    """Options.

    Attributes
    ----------
    calibrated : str
        A file that ``ptqsim calibrate`` wrote; if empty, the model is calibrated by the method below.
    method : str
    bits : int
        Of weights and activations.
    observe : bool
        Run the calibration images as well, to see the widths that they need.
    """

    calibrated: str = ""
    method: str = "ptq4vit"
    bits: int = 8
    observe: bool = True
    name: ClassVar[str] = "simulator.safe_width"
    title: ClassVar[str] = "Formats of every layer and the accumulator width that is safe for it"
    networks: ClassVar[tuple[str, ...]] = ("classifier", "detector")

    def key(self, workload: Workload) -> dict[str, Any]:
        """Of a calibrated file its content counts, and not the workload's model."""
        if not self.calibrated:
            return IllustratedTable.key(self, workload)
        path = Path(self.calibrated)
        if not path.is_file():
            raise FileNotFoundError(f"there is no calibrated model at {path}: name a file that ptqsim calibrate wrote")
        images = {"data": workload.data, "calibration_images": workload.images, "seed": workload.seed}
        about = {"calibrated": path.name, "observe": self.observe}
        return {"options": about, "file_sha256": fingerprint.file(path), **images}

    def compute(self, workload: Workload) -> Data:
        """One row per operation; an empty cell is a bound that does not apply to it.

        ``calibrated`` is the width that the calibration images need: an observation.
        """
        if self.calibrated:
            quantized = ptq.load_with_model(Path(self.calibrated))
            label = Path(self.calibrated).stem
        else:
            setting = Setting(self.method, self.bits, self.bits)
            quantized, label = workload.quantized(setting), f"{workload.model}, {setting.label}"
        if self.observe:
            images = self._images(workload, quantized)
            with workload.progress(f"{label}, observed widths", "image") as report, exact_and_counting(quantized):
                for done, batch in enumerate(images.split(8), start=1):
                    quantized(batch)
                    report(min(8 * done, len(images)), len(images), "")
        rows = []
        for name, layer in quantized.layers.items():
            widths: dict[str, int | None] = dict.fromkeys(BOUNDS)
            widths |= {bound: found.bits for bound, found in layer.bounds.items()}
            rows.append({"layer": name, "kind": layer.kind, "depth": layer.depth, **format_facts(layer), **widths})
        return {"layers": Frame.of_rows(rows), "network": Frame.of({"label": label})}

    def _images(self, workload: Workload, quantized: ptq.QuantizedModel) -> torch.Tensor:
        if not self.calibrated:
            return workload.calibration_images
        source = ptq.load_data(workload.data, quantized.model, split="calibration")
        return ptq.sample_images(source, workload.images, workload.seed)

    def label(self, layer: str) -> str:
        """Label of a layer in the picture."""
        return layer

    def printed(self, data: Data) -> Printed:
        """One line per operation; of several heads the shifts are given as a range."""
        rows: list[tuple[str, ...]] = []
        for row in data["layers"].records():
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
        return Printed(f"Accumulator widths, {data['network'].column('label')[0]}", columns, tuple(rows), notes)

    def render(self, data: Data) -> Drawing:
        """One line per layer, from the input at the top to the output at the bottom."""
        layers = data["layers"]
        figure, (axes,) = style.panels(height=0.62 + _ROW * len(layers))
        at = np.arange(len(layers))
        found = np.array([layers.values(bound) for bound in BOUNDS])  # [bounds, layers]
        axes.hlines(at, np.nanmin(found, axis=0), np.nanmax(found, axis=0), color=style.PALE, linewidth=0.8, zorder=1)
        for bound, widths in zip(BOUNDS, found, strict=True):
            if np.isnan(widths).all():
                continue
            look = style.LOOKS[bound]
            size, face = _MARKS[bound]
            axes.plot(
                widths, at, look.marker, color=look.color, markersize=size, label=look.label,
                markerfacecolor=look.color if face else "white", markeredgewidth=0.7, zorder=2,
            )  # fmt: skip
        _mark_register(axes, found, 32)
        axes.set_yticks(at, [self.label(layer) for layer in layers.column("layer")], fontsize=6)
        axes.tick_params(axis="y", length=0, pad=1)
        axes.set_ylim(len(at) - 0.4, -0.6)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("accumulator width $P$ / bits")
        axes.grid(axis="x", color=style.PALE, linewidth=0.4)
        figure.legend(loc="outside upper center", ncols=2, title=data["network"].column("label")[0], title_fontsize=8)
        return figure


def _mark_register(axes: Axes, widths: Any, bits: int) -> None:
    """A line at a register that is usual, if one of the layers comes near to it."""
    if np.nanmax(widths) >= bits - 2:
        axes.axvline(bits, color=style.GREY, linewidth=0.8, zorder=0)
