"""The departure of fake quantization in float32 from exact integers: by layer and depth, and how it spreads.

Two causes are told apart.  Inside of a layer, float32 rounds sums that integers keep exact: both get the same codes,
and their outputs are compared.  Through the network, an output that was moved past a rounding boundary becomes another
code for the next layer: the codes that reach a layer in the two modes are compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from matplotlib.ticker import LogLocator
from numpy.typing import NDArray

import ptqsim as pq
from ptqsim import ptq
from ptqsim.ptq.network.products.blocked import AnyArray
from ptqsim.ptq.network.products.fake_quant import decode_codes
from ptqsim.ptq.threads import one_thread

from ..framework import style
from ..framework.artifact import IllustratedTable
from ..framework.frame import Data, Frame
from ..framework.text_table import Printed
from ..framework.workload import Setting, Workload
from .observe import WIDEST

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

RecordedCodes = dict[str, list[NDArray[Any]]]
"""By layer, the codes of A of every group."""


@dataclass(frozen=True)
class Departure(IllustratedTable):
    """Options: the method, the width of weights and activations, and the number of validation images."""

    method: str = "ptq4vit"
    bits: int = 8
    images: int = 32
    name: ClassVar[str] = "simulator.departure"
    title: ClassVar[str] = "Where float32 fake quantization departs from exact integers"

    def compute(self, workload: Workload) -> Data:
        """One row per operation."""
        setting = Setting(self.method, self.bits, self.bits)
        quantized = workload.quantized(setting)
        images, _ = workload.validation.read(range(self.images))
        sums: dict[str, list[int | float]] = {name: [0, 0, 0.0, 0.0] for name in quantized.layers}
        spread: dict[str, list[int]] = {name: [0, 0] for name in quantized.layers}

        def compare(name: str, group: int, a: pq.QuantizedArray, b: pq.QuantizedArray, result: pq.MatmulResult) -> None:
            like = torch.zeros(0)
            in_float = torch.matmul(decode_codes([a], like), decode_codes([b], like))[0].numpy()
            # the exact sum, rounded once
            exact = (result.acc * np.float64(result.scale)).astype(np.float32)
            seen = sums[name]
            seen[0] += exact.size
            seen[1] += int((in_float != exact).sum())
            seen[2] = max(seen[2], float(np.abs(in_float.astype(np.float64) - exact).max()))
            seen[3] = max(seen[3], float(np.abs(exact).max()))

        with workload.progress(f"{setting.label}, departure", "image") as report, one_thread():
            for done, batch in enumerate(images.split(8), start=1):
                integer, fake = _integer_codes(quantized, batch, compare), _fake_codes(quantized, batch)
                for name, seen in spread.items():
                    for one, other in zip(integer[name], fake[name], strict=True):
                        seen[0] += one.size
                        seen[1] += int((one != other).sum())
                report(min(8 * done, len(images)), len(images), "")
        rows = []
        for name, layer in quantized.layers.items():
            outputs, differ, largest, magnitude = sums[name]
            codes, changed = spread[name]
            rows.append(
                {
                    "layer": name,
                    "kind": layer.kind,
                    "depth": layer.depth,
                    "outputs": outputs,
                    "outputs_differ": differ,
                    "largest_difference": largest,
                    "largest_output": magnitude,
                    "codes": codes,
                    "codes_differ": changed,
                }
            )
        return {"layers": Frame.of_rows(rows)}

    def printed(self, data: Data) -> Printed:
        """One line per operation."""
        rows = []
        for row in data["layers"].records():
            share = 100 * row["outputs_differ"] / row["outputs"]
            relative = row["largest_difference"] / row["largest_output"]
            codes = 100 * row["codes_differ"] / row["codes"]
            rows.append((row["layer"], str(row["depth"]), f"{share:.2f}", f"{relative:.2g}", f"{codes:.4f}"))
        note = (
            "Outputs ≠: of 100 outputs of float32 and of exact integers on the same codes, how many differ after the "
            "exact one is rounded to float32. Largest: the largest difference over the largest output. Codes ≠: of "
            "100 codes of A, how many differ between the two modes of the whole network, in which one code that "
            f"differs makes others differ. {self.images} images."
        )
        columns = ("Operation", "K", "Outputs ≠ / %", "Largest", "RecordedCodes ≠ / %")
        label = f"{style.NAMES[self.method]} {style.bits_label(self.bits, self.bits)}"
        return Printed(f"{self.title}, {label}", columns, tuple(rows), (note,))

    def render(self, data: Data) -> Drawing:
        """Left, by the depth K of the sums; right, along the network."""
        figure, (left, right) = style.panels(1, 2, height=1.9)
        layers = data["layers"]
        share = 100 * layers.values("outputs_differ") / layers.values("outputs")
        kinds = np.array(layers.column("kind"))
        for kind in layers.distinct("kind"):
            look, mine = style.LOOKS[kind], kinds == kind
            left.plot(
                layers.values("depth")[mine], share[mine], look.marker, color=look.color, markerfacecolor="none",
                label=look.label,
            )  # fmt: skip
            codes = 100 * layers.values("codes_differ") / layers.values("codes")
            right.plot(np.flatnonzero(mine), codes[mine], look.marker, color=look.color, markerfacecolor="none")
        depths = sorted(set(layers.column("depth")))
        left.set_xscale("log", base=2)
        left.xaxis.set_major_locator(LogLocator(base=2, subs=(1.0,), numticks=12 if depths[-1] < 32 * depths[0] else 6))
        left.xaxis.set_major_formatter("{x:.0f}")
        left.set_xlabel("depth $K$ of the sums")
        left.set_ylabel("outputs that differ / %")
        left.set_ylim(bottom=0)
        right.set_xlabel("layer, in order")
        right.set_ylabel("codes of $A$ that differ / %")
        # from one code in a million to all; no code at all is at the bottom
        right.set_yscale("symlog", linthresh=1e-4)
        right.set_ylim(-2e-5, 100)
        right.set_yticks([0, 1e-4, 1e-2, 1, 100])
        right.minorticks_off()
        figure.legend(loc="outside upper center", ncols=3)
        return figure


def _integer_codes(quantized: ptq.QuantizedModel, images: torch.Tensor, compare: Any) -> RecordedCodes:
    """Codes of A of a run in exact integers, every product of which is handed to ``compare``."""
    found: RecordedCodes = {name: [] for name in quantized.layers}

    def record(name: str, group: int, a: AnyArray, b: AnyArray, result: pq.MatmulResult) -> None:
        if group < quantized.layers[name].groups[0]:
            found[name].append(a.codes)
        compare(name, group, a, b, result)

    quantized.mode, quantized.accumulator = "integer", pq.Accumulator(bits=WIDEST)
    for layer in quantized.layers.values():
        layer.integer.recorder = record
    try:
        quantized(images)
    finally:
        for layer in quantized.layers.values():
            layer.integer.recorder = None
    return found


def _fake_codes(quantized: ptq.QuantizedModel, images: torch.Tensor) -> RecordedCodes:
    """Codes of A of a run with fake quantization."""
    found: RecordedCodes = {}
    quantized.mode = "fake_quant"
    with _watched(quantized, found):
        quantized(images)
    return found


@contextmanager
def _watched(quantized: ptq.QuantizedModel, found: RecordedCodes) -> Iterator[None]:
    for layer in quantized.layers.values():

        def product(a: torch.Tensor, b: torch.Tensor, layer: Any = layer, inner: Any = layer.product) -> torch.Tensor:
            found[layer.name] = [codes.codes for codes in layer.integer.encode(a, layer.formats.a)]
            return inner(a, b)  # type: ignore[no-any-return]

        layer.product = product  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in quantized.layers.values():
            del layer.product
