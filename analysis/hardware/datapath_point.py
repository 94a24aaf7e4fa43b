"""Accuracy as the accumulators after softmax or GELU get narrower, for one way to compute their sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import ptqsim as pq
from ptqsim import ptq
from ptqsim.datapath.order import parse_order
from ptqsim.ptq.network.products.operations import OperandFormats

from ..framework.activations import TITLES, Special
from ..framework.frame import Data, Frame
from ..framework.points import WorkPoint
from ..framework.workload import Setting, Workload
from ..simulator.observe import WIDEST, exact_and_counting
from ..simulator.width_accuracy import shifted


@dataclass(frozen=True)
class DatapathPoint(WorkPoint):
    """One curve; all other operations are exact.

    Attributes
    ----------
    operand : {"softmax", "gelu"}
    method : str
        base_ptq has uniform formats, ptq4vit twin ones.
    bits : int
        Of weights and activations.
    shift : int or None
        m of every layer; None leaves each its own.
    greatest_shift : int
        Of the circuit: no layer's own m may be greater.
    overflow, order, alignment : str
        Of the accumulator.
    widths : tuple of int
        Accumulator widths, falling.
    images : int
        Validation images.
    floor : float
        Narrower ones are not tried once top-1 is at or below this fraction of the exact one's.
    """

    kind: ClassVar[str] = "datapath_point"

    operand: Special
    method: str
    bits: int
    shift: int | None
    greatest_shift: int
    overflow: str
    order: str
    alignment: str
    widths: tuple[int, ...]
    images: int
    floor: float

    def compute(self, workload: Workload) -> Data:
        """One row per width, the first of them one that no sum overflows, where there is one."""
        quantized = workload.quantized(Setting(self.method, self.bits, self.bits))
        layers = [layer for layer in quantized.layers.values() if layer.a_kind == self.operand]
        for layer in layers:
            assert layer.formats is not None
            if self.shift is None:
                self._check(layer.name, max(fmt.shift for fmt in layer.formats.a))
            else:
                layer.formats = OperandFormats(shifted(layer.formats.a, self.shift), layer.formats.b)
        with exact_and_counting(quantized):
            exact = self._evaluated(workload, quantized, "exact").top1
        needed = max(layer.bounds["calibrated"].bits for layer in layers)
        quantized.accumulator = pq.Accumulator(bits=WIDEST)
        rows: list[dict[str, Any]] = []
        for width in (w for w in self.widths if w < needed or w == min(self.widths, key=lambda v: (v < needed, v))):
            for layer in layers:
                quantized.accumulators[layer.name] = pq.Accumulator(
                    width, self.overflow, parse_order(self.order), self.alignment
                )
            found = self._evaluated(workload, quantized, f"{width} bits")
            rows.append({"acc_bits": width, "needed_bits": needed, "images": self.images, "top1": found.top1,
                         "cross_entropy": found.cross_entropy, "exact": exact})  # fmt: skip
            if exact and found.top1 <= self.floor * exact:
                break
        return {"curve": Frame.of_rows(rows)}

    def _check(self, layer: str, shift: int) -> None:
        if shift > self.greatest_shift:
            raise ValueError(
                f"{layer} has m = {shift}, and the circuit that is counted shifts by {self.greatest_shift} at most: "
                f"try -O greatest_shift={shift}"
            )

    def _evaluated(self, workload: Workload, quantized: ptq.QuantizedModel, state: str) -> ptq.Evaluation:
        shift = "own m" if self.shift is None else f"m = {self.shift}"
        name = f"{TITLES[self.operand]}, k = {self.bits}, {self.method}, {shift}, {self.overflow}, {self.order}"
        with workload.progress(f"{name}, {state}", "image") as report:
            return ptq.evaluate(quantized, workload.validation, limit=self.images, progress=report)
