"""Stores of pretended results, made without a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.studies.study import plan_of
from benchmarks.studies.study_work import pretend
from ptqsim.sweep.execution.driver import planned_keys
from ptqsim.sweep.execution.pool import Pool
from ptqsim.sweep.execution.run import run
from ptqsim.sweep.plan.planning import Plan
from ptqsim.sweep.results.store import ResultStore
from ptqsim.sweep.work.task import Outcome, WorkTask, perform

STUDY = """
name: pretended
description: Points that <b>nobody</b> computed & "quotes".
axes:
  model: [vit_digits, deit_digits]
  method: [base_ptq, {name: ptq4vit, options: {gradient: random}}]
  w_bits: [8, 6]
  a_bits: [8, 6]
  mode: [float, integer]
  acc_bits: [exact, {from: 12, to: 24}]
  overflow: [wrap, saturate]
require: w_bits == a_bits
ask:
  - narrowest: acc_bits
    within: 1
  - narrowest: acc_bits
    scope: layer
    where: method == "base_ptq"
"""


class Here:
    """Runs tasks one after the other in this process."""

    def __init__(self) -> None:
        self._waiting: list[WorkTask] = []

    @property
    def room(self) -> int:
        return 100 - len(self._waiting)

    @property
    def busy(self) -> int:
        return len(self._waiting)

    def submit(self, tasks: list[WorkTask], *, urgent: bool = False) -> None:
        self._waiting.extend(tasks)

    def take(self) -> list[Outcome]:
        found = [perform(task) for task in self._waiting]
        self._waiting.clear()
        return found


def pretended_store(folder: Path, text: str = STUDY) -> Path:
    """Results of a study with its questions."""
    path = folder / "pretended.sqlite"
    pool: Pool = Here()
    with ResultStore(path) as store:
        run(plan_of(text, folder / "cache"), store, pool, text, "ptqsim sweep pretended.yaml")
    return path


def large_store(folder: Path, text: str) -> Path:
    """Results of a large grid, written at once."""
    path = folder / "large.sqlite"
    plan = plan_of(text, folder / "cache")
    with ResultStore(path) as store:
        number = store.plan(plan.study.name, text, plan.provenance("large"), planned_keys(plan))
        for calibration in plan.calibrations():
            outcome = perform(plan.calibration_task(calibration))
            store.record("calibrations", [plan.calibration_row(calibration, outcome) | {"provenance": number}])
        store.record("points", list(_rows(plan, number)))
    return path


def _rows(plan: Plan, number: int) -> Iterator[dict[str, object]]:
    for point in plan.points:
        (task,) = plan.point_tasks(point)
        outcome = Outcome(task.key, "done", pretend(task), seconds=1.0)
        yield plan.point_row(point, outcome) | {"provenance": number}
