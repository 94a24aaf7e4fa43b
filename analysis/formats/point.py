"""A network in one family of formats at one width: its accuracy, its bits, and the register that is safe."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from ptqsim import ptq

from ..framework import style
from ..framework.frame import Data, Frame
from ..framework.points import WorkPoint
from ..framework.workload import Workload
from ..methods.point import calibrated
from .families import family


@dataclass(frozen=True)
class FormatPoint(WorkPoint):
    """Metrics by fake quantization, and the width of the register that no input can overflow.

    Products of blocks are summed in float32, and have no such width.

    Attributes
    ----------
    family : str
        By the names of :data:`analysis.formats.families.FAMILIES`.
    bits : int
        Width of weights and activations.
    images : int
        Validation images.
    """

    kind: ClassVar[str] = "format_point"

    family: str
    bits: int
    images: int

    def key(self, workload: Workload) -> dict[str, Any]:
        """The calibration of the family decides, not its name."""
        return {**workload.key(), "entry": family(self.family).entry.key(), "bits": self.bits, "images": self.images}

    def compute(self, workload: Workload) -> Data:
        """One row."""
        made = family(self.family)
        label = f"{made.entry.label} {style.bits_label(self.bits, self.bits)}, {workload.label}"
        model = calibrated(workload, made.entry, self.bits, label)
        with workload.progress(label, "image") as report:
            found = ptq.measure(model, workload.validation, limit=self.images, progress=report)
        divergence = ptq.Mean.of(found.divergence(workload.float_outputs(self.images)))
        bounds = [bound for op in model.layers.values() if (bound := op.bounds)]
        metric, value = next(iter(found.metrics.items()))
        row = {
            "family": self.family,
            "bits": self.bits,
            "stored_bits": self.bits + made.scale_bits,
            "images": found.images,
            "metric": metric,
            "value": value,
            "standard_error": _standard_error(value, found.images) if metric == "top1" else None,
            **found.metrics,
            "kl": divergence.value,
            "kl_standard_error": divergence.standard_error,
            "register_by_type": max((bound["datatype"].bits for bound in bounds), default=None),
            "register": max((min(one.bits for one in bound.values()) for bound in bounds), default=None),
        }
        return {"point": Frame.of_rows([row])}


def _standard_error(percent: float, images: int) -> float:
    """Standard error of a percentage of images, as of a binomial proportion."""
    return math.sqrt(percent * (100.0 - percent) / images)
