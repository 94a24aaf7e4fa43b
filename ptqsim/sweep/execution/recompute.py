"""One point computed anew, in this process, and compared with what is stored: the same bits, or not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptqsim.sweep.plan.parts import merged
from ptqsim.sweep.plan.planning import Plan
from ptqsim.sweep.results.store import ResultStore
from ptqsim.sweep.study.point import Point, point_of_row
from ptqsim.sweep.work.task import Outcome, perform


@dataclass(frozen=True)
class Recomputed:
    """A point, what was computed now, and what is stored, if it is.

    Attributes
    ----------
    key : str
    row : dict
        Of what was computed now.
    stored : dict or None
    """

    key: str
    row: dict[str, Any]
    stored: dict[str, Any] | None

    @property
    def agrees(self) -> bool | None:
        """True if every logit has the same bits; None if nothing is stored."""
        return None if self.stored is None else self.row["logits_sha256"] == self.stored["logits_sha256"]


def recompute(plan: Plan, place: Path, start: str) -> Recomputed:
    """Compute the point whose key begins with ``start``, calibration included if it is not in the cache.

    Raises
    ------
    ValueError
        If no point, or several, have such a key, or if it fails.
    """
    point, stored = _find(plan, place, start)
    if point.calibration is not None and not plan.cache.has(plan.file(point.calibration)):
        _done(perform(plan.calibration_task(point.calibration)))
    parts = [_done(perform(task)) for task in plan.point_tasks(point)]
    outcome = merged(plan.key(point), point.images, parts)
    return Recomputed(outcome.key, plan.point_row(point, outcome), stored)


def _find(plan: Plan, place: Path, start: str) -> tuple[Point, dict[str, Any] | None]:
    found: dict[str, tuple[Point, dict[str, Any] | None]] = {
        key: (point, None) for point in plan.points if (key := plan.key(point)).startswith(start)
    }
    if place.is_file():
        with ResultStore(place, write=False) as store:
            for key in store.statuses("points"):
                if key.startswith(start) and (row := store.row("points", key)) is not None:
                    found[key] = (point_of_row(row), row)
    current = {key: pair for key, pair in found.items() if _is_of(plan, key, pair[0])}
    if len(current) == 1:
        return next(iter(current.values()))
    if found and not current:
        raise ValueError(f"point {start!r} was computed by other code, or from other models: run the study again first")
    raise ValueError(
        f"{len(current)} points have a key that begins with {start!r}; legal is the beginning of one key, as "
        "ptqsim report and --csv show it"
    )


def _is_of(plan: Plan, key: str, point: Point) -> bool:
    known = point.model in plan.sources and (point.calibration is None or point.calibration.method in plan.methods)
    return known and plan.key(point) == key


def _done(outcome: Outcome) -> Outcome:
    if outcome.status != "done":
        raise ValueError(f"it {outcome.status}: {str(outcome.error).splitlines()[0]}")
    return outcome
