"""Do what a plan asks for and the store lacks: calibrations before their points, questions as their answers come.

Only so many tasks are under way as keep the workers busy, so that neither the scheduler's memory nor this process's
grows with the study.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from ptqsim.common.progress import Progress, silent
from ptqsim.sweep.execution.pool import Pool
from ptqsim.sweep.plan.parts import merged
from ptqsim.sweep.plan.planning import Plan, result_columns
from ptqsim.sweep.results.store import ResultStore
from ptqsim.sweep.study.point import Calibration, Point
from ptqsim.sweep.work.task import Outcome, WorkTask

FLUSH_ROWS: Final = 2000
FLUSH_SECONDS: Final = 0.5


class WorkerStoppedError(OSError):
    """The machine of a worker failed: its disk is full."""


class Driver:
    """One run of a study.

    Parameters
    ----------
    plan : Plan
    store : ResultStore
    pool : Pool
    provenance : int
        Number of the provenance in the store.
    retry_failed : bool
        Try again what failed before.
    report : callable
        Called with points done, all points, and a few words.
    """

    def __init__(
        self,
        plan: Plan,
        store: ResultStore,
        pool: Pool,
        provenance: int,
        *,
        retry_failed: bool = False,
        report: Progress = silent,
    ) -> None:
        self._plan, self._store, self._pool = plan, store, pool
        self._provenance = provenance
        self._report = report
        self._settled: dict[str, str] = {
            key: status for key, status in store.statuses("points").items() if status != "failed" or not retry_failed
        }
        self._calibrated = store.statuses("calibrations")
        self._retry_failed = retry_failed
        self._grid: deque[Point] = deque()
        self._urgent: deque[Point] = deque()
        self._parked: dict[str, list[Point]] = {}
        self._under_way: dict[str, Point] = {}
        self._parts: dict[str, dict[str, Outcome]] = {}  # of points in several parts, those that are there
        self._calibrating: dict[str, Calibration] = {}
        self._failures: dict[str, str] = {}
        self._rows: dict[str, dict[str, dict[str, Any]]] = {
            "calibrations": {},
            "parts": {},
            "points": {},
            "answers": {},
        }
        self._planned: list[tuple[str, str]] = []
        self._flushed = time.monotonic()
        self._total = self._done = 0
        self.computed = 0

    def want(self, points: Iterable[Point], *, urgent: bool = False) -> None:
        """Have points computed that are not there; urgent ones first."""
        queue = self._urgent if urgent else self._grid
        for point in points:
            self._total += 1
            if self._plan.key(point) in self._settled:
                self._done += 1
            else:
                queue.append(point)

    def is_settled(self, key: str) -> bool:
        """True if a point is done, trapped, or failed for good."""
        return key in self._settled

    def row(self, key: str) -> dict[str, Any] | None:
        """A point that is there."""
        return self._rows["points"].get(key) or self._store.row("points", key)

    def plan(self, keys: Iterable[tuple[str, str]]) -> None:
        """Kinds and keys of what a question asks for on its way."""
        self._planned.extend(keys)

    def answer(self, row: dict[str, Any]) -> None:
        """Keep an answer."""
        self._rows["answers"][row["key"]] = row | self._about()
        self.plan([("question", row["key"])])

    @property
    def is_idle(self) -> bool:
        """True if nothing is left to do."""
        return not (self._grid or self._urgent or self._parked or self._pool.busy)

    def step(self) -> None:
        """Submit what there is room for, and take what is done.

        Raises
        ------
        StoreFullError, WorkerStoppedError
            If a disk is full; what was kept stays.
        """
        self._fill(self._urgent, urgent=True)
        self._fill(self._grid, urgent=False)
        if self._pool.busy:
            for outcome in self._pool.take():
                self._settle(outcome)
        if sum(map(len, self._rows.values())) >= FLUSH_ROWS or time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()
        state = f"{len(self._failures)} calibrations failed" if self._failures else ""
        self._report(self._done, self._total, state)

    def flush(self) -> None:
        """Write what came back to the store."""
        for table, rows in self._rows.items():
            self._store.record(table, list(rows.values()))
            rows.clear()
        self._store.add_to_plan(self._planned)
        self._planned.clear()
        self._flushed = time.monotonic()

    def _fill(self, queue: deque[Point], *, urgent: bool) -> None:
        room = self._pool.room
        tasks: list[WorkTask] = []
        calibrations: list[WorkTask] = []
        while queue and len(tasks) + len(calibrations) < room:
            point = queue.popleft()
            key = self._plan.key(point)
            if (
                key in self._settled or key in self._parts or key in self._under_way
            ):  # two questions may ask for the same
                self._total -= 1
                continue
            needed = None if point.calibration is None else self._plan.calibration_key(point.calibration)
            if (
                point.calibration is not None
                and needed is not None
                and not self._is_calibrated(needed, point.calibration)
            ):
                if needed not in self._calibrating:
                    self._calibrating[needed] = point.calibration
                    calibrations.append(self._plan.calibration_task(point.calibration))
                self._parked.setdefault(needed, []).append(point)
                continue
            if needed in self._failures:
                self._keep(point, Outcome(key, "failed", error=f"its calibration failed: {self._failures[needed]}"))
                continue
            tasks.extend(self._tasks(point, key))
        self._pool.submit(calibrations, urgent=True)
        self._pool.submit(tasks, urgent=urgent)

    def _is_calibrated(self, key: str, calibration: Calibration) -> bool:
        """True if the calibration has finished or failed."""
        if key in self._calibrating:
            return False
        if key in self._failures:
            return True
        status = self._calibrated.get(key)
        if status == "failed" and not self._retry_failed:
            row = self._store.row("calibrations", key)
            self._failures[key] = str(row["error"]) if row else ""
            return True
        return status == "done" and self._plan.cache.has(self._plan.file(calibration))

    def _settle(self, outcome: Outcome) -> None:
        if outcome.status == "stopped":
            self.flush()
            raise WorkerStoppedError(
                f"a worker on {outcome.host} can't go on ({str(outcome.error).splitlines()[0]}); what was kept stays: "
                "free some space, and the same command goes on"
            )
        if (calibration := self._calibrating.pop(outcome.key, None)) is not None:
            self._settle_calibration(calibration, outcome)
        else:
            self._settle_point(self._under_way.pop(outcome.key), outcome)

    def _tasks(self, point: Point, key: str) -> list[WorkTask]:
        """The work of a point, less the parts that were done before."""
        tasks = self._plan.point_tasks(point)
        if len(tasks) > 1:
            kept = {part["key"]: Outcome(part["key"], "done", part["document"], seconds=part["seconds"])
                    for part in self._store.parts(key)}  # fmt: skip
            self._parts[key] = kept
            tasks = [task for task in tasks if task.key not in kept] or tasks[-1:]
        self._under_way |= {task.key: point for task in tasks}
        return tasks

    def _settle_point(self, point: Point, outcome: Outcome) -> None:
        key = self._plan.key(point)
        if outcome.key == key:
            self._keep(point, outcome)
            self.computed += 1
            return
        there = self._parts[key]
        there[outcome.key] = outcome
        if outcome.status == "done":
            about = {"key": outcome.key, "point": key, "document": dict(outcome.values)}
            self._rows["parts"][outcome.key] = about | result_columns(outcome) | self._about()
        wanted = [task.key for task in self._plan.point_tasks(point)]
        if len(there) == len(wanted):
            del self._parts[key]
            self._keep(point, merged(key, point.images, [there[part] for part in wanted]))
            self.computed += 1

    def _settle_calibration(self, calibration: Calibration, outcome: Outcome) -> None:
        if (content := outcome.values.get("file")) is not None:
            self._plan.cache.put(self._plan.file(calibration), content)
        if outcome.status != "done":
            self._failures[outcome.key] = str(outcome.error)
        self._calibrated[outcome.key] = outcome.status
        self._rows["calibrations"][outcome.key] = self._plan.calibration_row(calibration, outcome) | self._about()
        self._grid.extendleft(reversed(self._parked.pop(outcome.key, [])))

    def _keep(self, point: Point, outcome: Outcome) -> None:
        self._settled[outcome.key] = outcome.status
        self._done += 1
        self._rows["points"][outcome.key] = self._plan.point_row(point, outcome) | self._about()

    def _about(self) -> dict[str, Any]:
        return {"finished": datetime.now(UTC).isoformat(timespec="seconds"), "provenance": self._provenance}


def planned_keys(plan: Plan) -> Iterator[tuple[str, str]]:
    """Kind and key of everything in the grid of a plan."""
    yield from (("calibration", plan.calibration_key(calibration)) for calibration in plan.calibrations())
    yield from (("point", plan.key(point)) for point in plan.points)


def answered(row: Mapping[str, Any] | None) -> bool:
    """True if a row has a result that a question can use."""
    return row is not None and row["status"] in ("done", "trapped")
