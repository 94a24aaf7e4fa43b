"""Top-1 and cross-entropy of every method, at every width, on every bundled model, over several calibrations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from analysis import style
from analysis.artifact import Table
from analysis.frame import Data, Frame
from analysis.methods.entries import ENTRIES, Entry, entry
from analysis.printed import Printed
from analysis.workload import Workload, counting
from ptqsim import ptq
from ptqsim.ptq.bundled import BUNDLED
from ptqsim.ptq.methods import PTQ4ViTPlus, make_method


@dataclass(frozen=True)
class MethodAccuracy(Table):
    """One table of all methods.

    A seed draws the calibration images and whatever is random in a method.  Every point is kept as it is finished, and
    so is every layer, which the mixed precisions of several widths share.

    Attributes
    ----------
    models : tuple of str
        Bundled ones; their own data is used.
    widths : tuple of int
        Of weights and activations.
    methods : tuple of str
        Lines of the table, by the names of :data:`analysis.methods.entries.ENTRIES`.
    seeds : tuple of int
    images : int
        Validation images.
    """

    models: tuple[str, ...] = tuple(BUNDLED)
    widths: tuple[int, ...] = (8, 6, 4, 3)
    methods: tuple[str, ...] = tuple(ENTRIES)
    seeds: tuple[int, ...] = (0, 1, 2)
    images: int = 10_000
    name: ClassVar[str] = "methods.accuracy"
    title: ClassVar[str] = "Every method on every bundled model"

    def __post_init__(self) -> None:
        for name in self.methods:
            entry(name)

    def key(self, workload: Workload) -> dict[str, Any]:
        """The options, and every model on every draw of calibration images."""
        keys = [one.key() for one in self._workloads(workload)]
        return {"options": Table.key(self, replace(workload, model=self.models[0]))["options"], "workloads": keys}

    def compute(self, workload: Workload) -> Data:
        """One row per model, width, method and seed."""
        rows = []
        for one in self._workloads(workload):
            with one:
                rows.append(self._point(one, None, None))
                rows.extend(self._point(one, entry(name), bits) for bits in self.widths for name in self.methods)
        return {"points": Frame.of_rows(rows)}

    def _workloads(self, workload: Workload) -> Iterator[Workload]:
        for model in self.models:
            for seed in self.seeds:
                yield replace(workload, model=model, seed=seed)

    def _point(self, workload: Workload, chosen: Entry | None, bits: int | None) -> dict[str, Any]:
        """Accuracy of one calibrated network, or of the float network; kept."""
        key = {**workload.key(), "entry": chosen and chosen.key(), "bits": bits, "images": self.images}

        def compute() -> Data:
            label = style.NAMES["float"]
            model: Any = workload.network
            if chosen is not None and bits is not None:
                label = f"{chosen.label} {style.bits_label(bits, bits)}, {workload.model}, seed {workload.seed}"
                model = _calibrated(workload, chosen, bits, label)
            with workload.progress(label, "image") as report:
                found = ptq.evaluate(model, workload.validation, limit=self.images, progress=counting(report))
            row = {
                "model": workload.model,
                "seed": workload.seed,
                "bits": bits,
                "method": "float" if chosen is None else chosen.name,
                "images": found.images,
                "top1": found.top1,
                "cross_entropy": found.cross_entropy,
            }
            return {"point": Frame.of_rows([row])}

        return workload.store.data("method_point", key, compute)["point"].records()[0]

    def printed(self, data: Data) -> Printed:
        """Mean and standard deviation over the seeds; the float network's lines have no deviation."""
        rows = []
        points = data["points"]
        for model in points.distinct("model"):
            for bits in points.distinct("bits"):
                for method in points.where(model=model, bits=bits).distinct("method"):
                    cells = points.where(model=model, bits=bits, method=method)
                    label = style.NAMES["float"] if method == "float" else entry(method).label
                    width = "" if bits is None else style.bits_label(bits, bits)
                    spread = method != "float"
                    rows.append(
                        (
                            model,
                            width,
                            label,
                            _mean(cells.values("top1"), 2, spread),
                            _mean(cells.values("cross_entropy"), 4, spread),
                        )
                    )
        seeds, images = len(points.distinct("seed")), points.column("images")[0]
        note = (
            f"Mean ± standard deviation over {seeds} draws of calibration images, on {images:,} validation images, by "
            "fake quantization. Top-1 in percent, cross-entropy in nats. MP is mixed precision at the weights' size of "
            "the width given; PTQ4ViT+ is chosen on calibration images."
        )
        return Printed(self.title, ("Model", "Bits", "Method", "Top-1", "CE"), tuple(rows), (note,))


def _calibrated(workload: Workload, chosen: Entry, bits: int, label: str) -> ptq.QuantizedModel:
    method = make_method(chosen.method, chosen.options, chosen.variant)
    # one capture with the gradients of pseudo-labels serves every method that needs these or none
    shared = method.task_loss in (None, "pseudo_label") and not isinstance(method, PTQ4ViTPlus)
    with workload.progress(label, "layer") as report:
        return ptq.calibrate(
            workload.network,
            workload.calibration_images,
            method=chosen.method,
            variant=chosen.variant,
            w_bits=bits,
            a_bits=bits,
            seed=workload.seed,
            mixed_precision=chosen.mixed_precision(),
            state=workload.store.directory / "layers",
            captured=workload.captured if shared else None,
            progress=report,
            **chosen.options,
        )


def _mean(values: Any, digits: int, spread: bool) -> str:
    mean = f"{np.mean(values):.{digits}f}"
    return f"{mean} ± {np.std(values, ddof=1):.{digits}f}" if spread and len(values) > 1 else mean
