"""The accuracy of one network calibrated in one way: what most tables are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ptqsim import ptq
from ptqsim.ptq.calibration.methods import make_method
from ptqsim.ptq.evaluation.summary import weight_bits

from ..framework import style
from ..framework.frame import Data, Frame
from ..framework.points import WorkPoint
from ..framework.workload import Workload
from .entries import Entry

MEGABYTE = 8e6
"""Bits of one MB, which is 10**6 bytes in the papers."""


@dataclass(frozen=True)
class MethodPoint(WorkPoint):
    """Metrics of a network by fake quantization and the size of its weights; of the float network without an entry.

    The frame ``point`` has one row; ``images`` has the divergence of every image from the float network, which two
    methods are compared by.

    Attributes
    ----------
    entry : Entry or None
    bits : int or None
        Of weights and activations.
    images : int
        Validation images.
    """

    kind: ClassVar[str] = "method_point"

    entry: Entry | None
    bits: int | None
    images: int

    def key(self, workload: Workload) -> dict[str, Any]:
        """The label of an entry decides nothing."""
        entry = None if self.entry is None else self.entry.key()
        return {**workload.key(), "entry": entry, "bits": self.bits, "images": self.images}

    def compute(self, workload: Workload) -> Data:
        """One row, and one row per image."""
        label = style.NAMES["float"]
        model: Any = workload.network
        size = sum(op.constant_b.numel() * 32 for op in workload.operations.values() if op.constant_b is not None)
        if self.entry is not None and self.bits is not None:
            label = f"{self.entry.label} {style.bits_label(self.bits, self.bits)}, {workload.label}"
            model = calibrated(workload, self.entry, self.bits, label)
            size = weight_bits(model)
        with workload.progress(label, "image") as report:
            found = ptq.measure(model, workload.validation, limit=self.images, progress=report)
        exact = found.logits if self.entry is None else workload.float_outputs(self.images)
        per_image = found.divergence(exact)
        divergence = ptq.Mean.of(per_image)
        row = {
            "images": found.images,
            "calibration_images": workload.images,
            **found.metrics,
            "kl": divergence.value,
            "kl_standard_error": divergence.standard_error,
            "weights_mb": size / MEGABYTE,
        }
        return {"point": Frame.of_rows([row]), "images": Frame.of({"kl": per_image.numpy()})}


def calibrated(workload: Workload, entry: Entry, bits: int, label: str) -> ptq.QuantizedModel:
    """The network calibrated by an entry, its layers kept as they finish."""
    method = make_method(entry.method, entry.options, entry.variant)
    # one capture with the gradients of pseudo-labels serves every method that needs these or none
    shared = method.served_by(ptq.Gradient.PSEUDO_LABEL) and not entry.folds
    with workload.progress(label, "layer") as report:
        return ptq.calibrate(
            workload.network,
            workload.calibration_images,
            method=entry.method,
            variant=entry.variant,
            w_bits=bits,
            a_bits=bits,
            seed=workload.seed,
            mixed_precision=entry.mixed_precision(),
            state=workload.store.directory / "layers",
            captured=workload.captured if shared else None,
            folds=entry.folds,
            w_granularity=entry.w_granularity,
            a_symmetric=entry.a_symmetric,
            formats=dict(entry.formats),
            progress=report,
            **entry.options,
        )
