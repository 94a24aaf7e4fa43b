"""Operands of one kind, all quantized to one kind of format, with everything else in float: what the format costs.

Post-softmax or post-GELU values of every layer are rounded to a format; weights, the other operands and all other
layers stay as they are, so that nothing but the format is compared.  The parameters of every format are found in one
way: the least squared error of the operation's output on the calibration images, one format per head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import torch
from torch.nn import functional as F

import ptqsim as pq
from ptqsim import ptq
from ptqsim.formats import GELU_MIN, ReleasedTwinGELU
from ptqsim.ptq.evaluation.operand_loss import product_replaced
from ptqsim.ptq.network.products.operations import MatmulOperation
from ptqsim.ptq.search.candidates import group_max, linear_ratios
from ptqsim.ptq.threads import one_thread

from ..framework.activations import Special
from ..framework.frame import Data, Frame
from ..framework.points import WorkPoint
from ..framework.workload import Workload

MAX_SHIFT: Final = 15
RATIOS: Final = linear_ratios(0.0, 1.2, 40)
"""Scales tried, and breakpoints of PWLQ, in multiples of the largest magnitude's."""

Rounder = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class OperandPoint(WorkPoint):
    """Accuracy with the operands of one kind in one format.

    Attributes
    ----------
    operand : {"softmax", "gelu"}
    family : str
        Of :data:`FAMILIES`; ``float`` leaves the operand as it is.
    bits : int
        Width k as the papers count it.
    images : int
        Validation images.
    """

    kind: ClassVar[str] = "operand_point"

    operand: Special
    family: str
    bits: int
    images: int

    def compute(self, workload: Workload) -> Data:
        """Accuracy, the task loss above the float network's, and the error of every layer's output."""
        quantized = ptq.QuantizedModel(workload.network)
        layers = [layer for layer in quantized.layers.values() if layer.a_kind == self.operand]
        chosen: dict[str, Sequence[Any]] = {}
        errors = []
        with one_thread():
            for layer in layers:
                data = workload.captured[layer.name]
                chosen[layer.name], error = best_formats(data, candidates(self.family, self.bits, data.a))
                errors.append({"layer": layer.name, "error": error, "output": float(data.out.double().square().sum())})
        storage = 32 if self.family == "float" else chosen[layers[0].name][0].storage_bits
        label = f"{self.operand}, {self.family}, {self.bits} bits"
        with workload.progress(label, "image") as report, rounded_operands(layers, chosen):
            found = ptq.evaluate(quantized, workload.validation, limit=self.images, progress=report)
        target = workload.evaluated(None, "float", self.images).logits.double()
        floor = float(F.cross_entropy(target, target.softmax(dim=1)))
        loss = float(F.cross_entropy(found.logits.double(), target.softmax(dim=1)))
        row = {
            "operand": self.operand,
            "family": self.family,
            "bits": self.bits,
            "storage_bits": storage,
            "images": found.images,
            "top1": found.top1,
            "cross_entropy": found.cross_entropy,
            "task_loss_excess": loss - floor,
        }
        about = {"operand": self.operand, "family": self.family, "bits": self.bits}
        return {"point": Frame.of_rows([row]), "layers": Frame.of_rows([about | error for error in errors])}


def candidates(family: str, bits: int, values: torch.Tensor) -> list[list[Any]]:
    """Candidate formats of a family, for each group of values [G, ...]: ``found[g][c]``.

    ``twin`` is the paper's pair, ``covering`` and ``free`` the other rules for GELU (docs/formats.md): the latter's
    scales are tied by no power of two, as in the released code.
    """
    softmax = bool(values.min() >= 0)
    return [FAMILIES[family](bits, top, softmax) for top in group_max(values)]


def _uniform(bits: int, top: float, softmax: bool) -> list[Any]:
    return [pq.Uniform(bits=bits, scale=r * top / 2 ** (bits - 1)) for r in RATIOS]


def _twin(bits: int, top: float, softmax: bool) -> list[Any]:
    if softmax:
        return [pq.TwinSoftmax(bits=bits, shift=m) for m in range(1, MAX_SHIFT + 1)]
    return [pq.TwinGELU.fixed_negative(bits, m) for m in range(MAX_SHIFT + 1)]


def _covering(bits: int, top: float, softmax: bool) -> list[Any]:
    return [pq.TwinGELU.covering(bits, r * top / 2 ** (bits - 1), max_shift=MAX_SHIFT) for r in RATIOS]


def _free(bits: int, top: float, softmax: bool) -> list[Any]:
    reach = 2 ** (bits - 1) - 1  # R1 just covers the negative values, as in the paper's pair
    return [ReleasedTwinGELU(bits, -GELU_MIN / reach, r * top / 2 ** (bits - 1)) for r in RATIOS]


def _log2(bits: int, top: float, softmax: bool) -> list[Any]:
    return [pq.Log2(bits=bits)]


def _pwlq(bits: int, top: float, softmax: bool) -> list[Any]:
    return [pq.PWLQ.covering(bits, r * top, top) for r in RATIOS if r < 1]


FAMILIES: Final[dict[str, Callable[[int, float, bool], list[Any]]]] = {
    "uniform": _uniform,
    "twin": _twin,
    "covering": _covering,
    "free": _free,
    "log2": _log2,
    "pwlq": _pwlq,
}


def best_formats(data: ptq.OperationData, tried: Sequence[Sequence[Any]]) -> tuple[list[Any], float]:
    """For each group the format with the least squared error of the output, and the error of all groups together."""
    chosen, total = [], 0.0
    for group, formats in enumerate(tried):
        a, b, out = data.a[group], data.b[group % len(data.b)], data.out[group]
        errors = [float((torch.matmul(rounded(a, fmt), b) - out).double().square().sum()) for fmt in formats]
        best = int(np.argmin(errors))
        chosen.append(formats[best])
        total += errors[best]
    return chosen, total


def rounded(values: torch.Tensor, fmt: Any) -> torch.Tensor:
    """The values that the codes of a format stand for, in float32; every format can, also one without a datapath."""
    reals = values.numpy()
    found = fmt.fake_quantize(reals) if isinstance(fmt, ReleasedTwinGELU) else fmt.decode(fmt.encode(reals))
    return torch.from_numpy(np.asarray(found, np.float32))


@contextmanager
def rounded_operands(layers: Sequence[MatmulOperation], chosen: dict[str, Sequence[Any]]) -> Iterator[None]:
    """Run the network with the left operand of these operations rounded, everything else in float."""
    with ExitStack() as stack:
        for layer in layers:

            def product(a: torch.Tensor, b: torch.Tensor, formats: Sequence[Any] = chosen[layer.name]) -> torch.Tensor:
                return torch.stack([rounded(a[g], fmt) for g, fmt in enumerate(formats)]) @ b

            stack.enter_context(product_replaced(layer, product))
        yield


def legal_families(operand: Special, families: Sequence[str]) -> list[str]:
    """Those families that can hold an operand: log2 has no negative values, and pairs for GELU are for GELU."""
    other = ("covering", "free") if operand == "softmax" else ("log2",)
    return [family for family in families if family not in other]
