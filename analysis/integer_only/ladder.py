"""The cost of integer units: one kind at a time, all of them, and all of them with one choice varied."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from ..framework import style
from ..framework.frame import Data, Frame
from ..framework.points import UnitOfWork
from ..framework.text_table import Printed
from ..framework.workload import Workload
from ..methods.claims import paired
from ..methods.draws import DrawnTable
from ..methods.entries import entry
from .choices import CHOICES, CONTROL, choice
from .point import METRICS, UnitsPoints

GOAL_TOP1: Final = 0.3
"""Points of top-1 that integer units may cost against integer mode."""
GOAL_CROSS_ENTROPY: Final = 0.02
"""Nats of cross-entropy that they may cost."""


@dataclass(frozen=True)
class Ladder(DrawnTable):
    """Choices of integer units against integer mode, whose functions between products are float32.

    The products are calibrated once for every model, width and draw, and all choices share them.

    Attributes
    ----------
    choices : tuple of str
        Lines of the table, by the names of :data:`analysis.integer_only.choices.CHOICES`; integer mode is always one.
    method : str
        Calibration, by the names of :data:`analysis.methods.entries.ENTRIES`.
    """

    choices: tuple[str, ...] = tuple(CHOICES)
    method: str = "ptq4vit"
    name: ClassVar[str] = "integer_only.ladder"
    title: ClassVar[str] = "Integer units against integer mode"

    def __post_init__(self) -> None:
        entry(self.method)
        for name in self.choices:
            choice(name)

    def tasks(self, workload: Workload) -> Iterator[UnitOfWork]:
        """All choices of one model, width and draw are one task, as they share its calibration."""
        for one in self.workloads(workload):
            yield from ((one, self._points(bits)) for bits in self.widths)

    def compute(self, workload: Workload) -> Data:
        """One row per model, width and choice."""
        found: dict[tuple[str, int], list[Data]] = {}
        for one in self.workloads(workload):
            with one:
                for bits in self.widths:
                    found.setdefault((one.model, bits), []).append(self._points(bits).data(one))
        rows = [
            {"model": model, "bits": bits, "choice": name} | against_control(draws, name)
            for (model, bits), draws in found.items()
            for name in self._names()
        ]
        return {"choices": Frame.of_rows(rows)}

    def _names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((CONTROL.name, *self.choices)))

    def _points(self, bits: int) -> UnitsPoints:
        return UnitsPoints(entry(self.method), bits, tuple(map(choice, self._names())), self.images)

    def printed(self, data: Data) -> Printed:
        """Means of every choice, and its differences from integer mode with their standard errors."""
        rows = []
        for row in data["choices"].records():
            about = (row["model"], style.bits_label(row["bits"], row["bits"]), choice(row["choice"]).label)
            if row["refused"] is not None:
                rows.append((*about, *("",) * 6, "refused"))
                continue
            means = f"{row['top1']:.2f}", f"{row['cross_entropy']:.4f}", f"{row['kl']:.4f}"
            if row["choice"] == CONTROL.name:
                rows.append((*about, *means, *("",) * 4))
                continue
            differences = (
                _difference(row, name, digits) for name, digits in zip(METRICS[::-1], (2, 4, 4), strict=True)
            )
            rows.append((*about, *means, *differences, "✓" if within(row) else ""))
        return Printed(
            self.title,
            ("Model", "Bits", "Units", "Top-1", "CE", "KL", "Δ top-1", "Δ CE", "Δ KL", "Goal"),
            tuple(rows),
            (self._note(data["choices"]), *_reasons(data["choices"])),
        )

    def _note(self, rows: Frame) -> str:
        images, draws = int(rows.values("images").max()), int(rows.values("draws").max())
        drawn = "one draw" if draws == 1 else f"{draws} draws"
        return (
            f"{entry(self.method).label}. Means over {images:,} validation images and {drawn} of "
            f"{int(rows.values('calibration_images').max())} calibration images; top-1 in percent, cross-entropy and "
            "KL(float || quantized) in nats. Differences from integer mode, whose functions between products are "
            "float32, are taken image by image; their standard error is that of the images and that of the draws "
            f"together. Goal: a loss of at most {GOAL_TOP1:g} points and {GOAL_CROSS_ENTROPY:g} nats of cross-entropy. "
            "Alone: in integer mode, with units of one kind in integers. Below 'All units', these with one choice "
            "varied."
        )


def _difference(row: dict[str, Any], name: str, digits: int) -> str:
    difference, error = f"{row[f'{name}_difference']:+.{digits}f}", row[f"{name}_error"]
    return difference if error is None else f"{difference} ± {error:.{digits}f}"


def _reasons(rows: Frame) -> list[str]:
    refused = [row for row in rows.records() if row["refused"] is not None]
    found = dict.fromkeys(f"{choice(row['choice']).label}, {row['model']}: {row['refused']}" for row in refused)
    return [f"Refused: {reason}." for reason in found]


def within(row: dict[str, Any]) -> bool:
    """True where a choice costs no more than the goal."""
    costs = -row["top1_difference"], row["cross_entropy_difference"]
    return bool(costs[0] <= GOAL_TOP1 and costs[1] <= GOAL_CROSS_ENTROPY)


def against_control(draws: list[Data], name: str) -> dict[str, Any]:
    """Means of a choice over draws and images, and their paired differences from integer mode with standard errors.

    Parameters
    ----------
    draws : list of data of :class:`~analysis.integer_only.point.UnitsPoints`
        One for each draw, with integer mode among the choices.
    name : str
        Of the choice. Where a draw refuses it, the row has the reason, and no number.
    """
    points = [data["point"].where(choice=name).records()[0] for data in draws]
    refused = next((point["refused"] for point in points if point["refused"] is not None), None)
    row: dict[str, Any] = {
        "images": 0 if refused else points[0]["images"],
        "calibration_images": points[0]["calibration_images"],
        "draws": len(draws),
        "refused": refused,
    }
    for metric in METRICS:
        mean, difference, error = None, None, None
        if refused is None:
            one, other = (
                np.stack([data["images"].where(choice=which).values(metric) for data in draws])
                for which in (name, CONTROL.name)
            )
            mean, (difference, error) = float(one.mean()), paired(one, other)
            error = None if math.isnan(error) else error
        row |= {metric: mean, f"{metric}_difference": difference, f"{metric}_error": error}
    return row
