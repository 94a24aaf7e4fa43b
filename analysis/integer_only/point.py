"""The accuracy of one calibrated network with units chosen, image by image."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Final

from torch.nn import functional as F

from ptqsim import ptq
from ptqsim.ptq.integer_only.build import build_plan
from ptqsim.ptq.integer_only.seen import Seen, observe

from ..framework import style
from ..framework.frame import Data, Frame, concatenate
from ..framework.points import WorkPoint
from ..framework.workload import Workload
from ..methods.entries import Entry
from ..methods.point import calibrated
from .alone import in_integers
from .choices import Choice

METRICS: Final = ("kl", "cross_entropy", "top1")
"""Of every image: divergence from the float network and cross-entropy in nats, and 100 where its class is the label."""


@dataclass(frozen=True)
class Calibrated:
    """A network calibrated by a method, and what one pass of the calibration images shows of it.

    Attributes
    ----------
    workload : Workload
    entry : Entry
        Calibration of the products.
    bits : int
        Of weights and activations.
    """

    workload: Workload
    entry: Entry
    bits: int

    @property
    def label(self) -> str:
        """As progress bars show it."""
        return f"{self.entry.label} {style.bits_label(self.bits, self.bits)}, {self.workload.label}"

    @cached_property
    def quantized(self) -> ptq.QuantizedModel:
        """The network, from a file of the store; calibrated and written first where there is none."""
        workload = self.workload
        key = {**workload.key(), "entry": self.entry.key(), "bits": self.bits}
        path = workload.store.path("units", key, ".safetensors")
        with workload.store.locked(path):
            if not path.is_file():
                calibrated(workload, self.entry, self.bits, self.label).save(path)
        return ptq.load(path, workload.network)

    @cached_property
    def seen(self) -> Seen:
        """Ranges that have no format yet."""
        return observe(self.quantized, self.workload.calibration_images)


@dataclass(frozen=True)
class UnitsPoint(WorkPoint):
    """Metrics of a calibrated network whose units are chosen.

    The frame ``point`` has one row, without numbers where a unit refuses the network, and the reason in ``refused``;
    ``images`` has one row per image.

    Attributes
    ----------
    entry : Entry
        Calibration of the products.
    bits : int
        Of weights and activations.
    choice : Choice
    images : int
        Validation images.
    """

    kind: ClassVar[str] = "units_point"

    entry: Entry
    bits: int
    choice: Choice
    images: int

    def key(self, workload: Workload) -> dict[str, Any]:
        """Labels decide nothing."""
        about = {"entry": self.entry.key(), "bits": self.bits, "choice": self.choice.key(), "images": self.images}
        return {**workload.key(), **about}

    def compute(self, workload: Workload) -> Data:
        """One row, and one row per image."""
        return self.measured(Calibrated(workload, self.entry, self.bits))

    def measured(self, given: Calibrated) -> Data:
        """The same of a network that is calibrated."""
        workload, quantized, kinds = given.workload, given.quantized, self.choice.kinds
        images = workload.calibration_images
        if kinds != ():
            try:
                quantized.plan = build_plan(quantized, images, self.choice.units(), given.seen)
            except ValueError as error:
                return _refused(str(error))
        quantized.mode = "integer_only" if kinds is None else "integer"
        alone = in_integers(quantized, kinds, images) if kinds else nullcontext()
        with alone, workload.progress(f"{self.choice.label}, {given.label}", "image") as report:
            found: Any = ptq.measure(quantized, workload.validation, limit=self.images, progress=report)
        per_image = {
            "kl": found.divergence(workload.float_outputs(self.images)).numpy(),
            "cross_entropy": F.cross_entropy(found.logits.double(), found.labels, reduction="none").numpy(),
            "top1": 100.0 * (found.predictions == found.labels).double().numpy(),
        }
        means = {name: float(values.mean()) for name, values in per_image.items()}
        row = {"images": found.images, "calibration_images": workload.images, **means, "refused": None}
        return {"point": Frame.of_rows([row]), "images": Frame.of(per_image)}


def _refused(reason: str) -> Data:
    row = {"images": 0, "calibration_images": 0, **dict.fromkeys(METRICS), "refused": reason}
    return {"point": Frame.of_rows([row]), "images": Frame(METRICS, ())}


@dataclass(frozen=True)
class UnitsPoints(WorkPoint):
    """All choices of units of one calibrated network, one after the other; each is kept as it is finished.

    Attributes
    ----------
    entry, bits, images : Entry, int, int
        As for `UnitsPoint`.
    choices : tuple of Choice
    """

    kind: ClassVar[str] = "units_points"

    entry: Entry
    bits: int
    choices: tuple[Choice, ...]
    images: int

    def key(self, workload: Workload) -> dict[str, Any]:
        """Those of the points."""
        return {"points": [point.key(workload) for point in self._points()]}

    def data(self, workload: Workload) -> Data:
        """Rows of all points, each with the name of its choice; only the points are kept."""
        return self.compute(workload)

    def compute(self, workload: Workload) -> Data:
        """One row per choice, and one per choice and image."""
        given, frames = Calibrated(workload, self.entry, self.bits), []
        for point in self._points():
            made = workload.store.data(point.kind, point.key(workload), lambda point=point: point.measured(given))  # type: ignore[misc]
            frames.append({name: _named(point.choice.name, frame) for name, frame in made.items()})
        return {name: concatenate(one[name] for one in frames) for name in ("point", "images")}

    def _points(self) -> Iterable[UnitsPoint]:
        return [UnitsPoint(self.entry, self.bits, choice, self.images) for choice in self.choices]


def _named(choice: str, frame: Frame) -> Frame:
    return Frame(("choice", *frame.names), tuple((choice, *row) for row in frame.rows))
