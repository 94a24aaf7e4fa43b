"""Presets of published methods on one protocol, beside what their authors print for ImageNet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ptqsim import ptq

from ..framework import style
from ..framework.frame import Data, Frame
from ..framework.points import UnitOfWork
from ..framework.text_table import Printed as PrintedTable
from ..framework.workload import Workload
from .draws import DrawnTable
from .entries import Entry
from .point import MethodPoint
from .printed import FLOAT, NETWORKS, PRINTED


@dataclass(frozen=True)
class Presets(DrawnTable):
    """Every preset at every width: measured here, and as printed where the authors print it.

    A preset is calibrated on the images of the workload, however many its paper takes (``--images``).  Rows of methods
    without a preset have the authors' numbers alone, and rows of presets whose authors have no vision transformers ours
    alone.

    Attributes
    ----------
    presets : tuple of str
        By the names of :data:`ptqsim.ptq.PRESETS`.
    """

    widths: tuple[int, ...] = (4, 3)
    presets: tuple[str, ...] = tuple(ptq.PRESETS)
    name: ClassVar[str] = "methods.presets"
    title: ClassVar[str] = "Presets of published methods, here and as printed for ImageNet"

    def __post_init__(self) -> None:
        for name in self.presets:
            ptq.preset(name)

    def tasks(self, workload: Workload) -> Iterator[UnitOfWork]:
        """Every preset at every width, and the float network."""
        for one in self.workloads(workload):
            yield from ((one, point) for _, _, point in self._points())

    def compute(self, workload: Workload) -> Data:
        """One row per model, width, preset and seed."""
        rows = []
        for one in self.workloads(workload):
            with one:
                for preset, bits, point in self._points():
                    about = {"model": one.model, "seed": one.seed, "bits": bits, "preset": preset}
                    rows.append(about | point.row(one))
        return {"points": Frame.of_rows(rows)}

    def _points(self) -> Iterator[tuple[str, int | None, MethodPoint]]:
        yield "", None, MethodPoint(None, None, self.images)
        for bits in self.widths:
            for name in self.presets:
                yield name, bits, MethodPoint(Entry.of_preset(ptq.preset(name)), bits, self.images)

    def printed(self, data: Data) -> PrintedTable:
        """Rows by width and method; a number that nobody measured is an empty cell."""
        points = data["points"]
        measured = points.where(bits=None)
        empty = ("",) * len(self.models)
        rows = [("", "Float", *(_mean(measured, model) for model in self.models), *(f"{top1:.2f}" for top1 in FLOAT))]
        for bits in self.widths:
            for preset, title, theirs in self._lines(bits):
                cells = points.where(bits=bits, preset=preset)
                ours = empty if preset is None else tuple(_mean(cells, model) for model in self.models)
                rows.append((style.bits_label(bits, bits), title, *ours, *theirs))
        calibration, images = points.column("calibration_images")[0], points.column("images")[0]
        draws = f"{len(self.seeds)} draws" if len(self.seeds) > 1 else "one draw"
        note = (
            f"Top-1 in percent. {', '.join(self.models)}: measured here, mean ± standard deviation over {draws} of "
            f"{calibration} calibration images, on {images:,} validation images, by fake quantization. "
            f"{NETWORKS[0]} to {NETWORKS[-1]}: of ImageNet, as the authors print it in their repositories. "
            "What a preset does otherwise than the paper: ptqsim calibrate --preset help."
        )
        columns = ("Bits", "Method", *self.models, *NETWORKS)
        return PrintedTable(self.title, columns, tuple(rows), (note,))

    def _lines(self, bits: int) -> Iterator[tuple[str | None, str, tuple[str, ...]]]:
        printed = {one.preset: one for one in PRINTED if one.preset is not None}
        nothing = ("",) * len(NETWORKS)
        for name in self.presets:
            theirs = printed[name].top1.get(bits) if name in printed else None
            yield name, ptq.preset(name).title, nothing if theirs is None else _texts(theirs)
        for one in PRINTED:
            if one.preset is None and bits in one.top1:
                yield None, one.title, _texts(one.top1[bits])


def _texts(numbers: tuple[float | None, ...]) -> tuple[str, ...]:
    return tuple("" if number is None else f"{number:.2f}" for number in numbers)


def _mean(cells: Frame, model: str) -> str:
    values = cells.where(model=model).values("top1")
    mean = f"{np.mean(values):.2f}"
    return mean if len(set(values)) == 1 else f"{mean} ± {np.std(values, ddof=1):.2f}"
