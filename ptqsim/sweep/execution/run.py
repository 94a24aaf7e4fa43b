"""One run of a study: the grid and its questions, until all is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ptqsim.common import fingerprint
from ptqsim.common.progress import Progress, silent
from ptqsim.sweep.execution.driver import Driver, answered, planned_keys
from ptqsim.sweep.execution.pool import Pool
from ptqsim.sweep.plan.planning import Plan
from ptqsim.sweep.plan.questions import Answer, Question, Rounds, questions, rounds
from ptqsim.sweep.results.store import ResultStore
from ptqsim.sweep.study.point import columns_of, identity, plain
from ptqsim.sweep.work.code import search_version


@dataclass
class _Asked:
    """A question on its way: the points it waits for."""

    question: Question
    rounds: Rounds
    keys: list[str]


def run(
    plan: Plan,
    store: ResultStore,
    pool: Pool,
    text: str,
    command: str,
    *,
    retry_failed: bool = False,
    report: Progress = silent,
) -> int:
    """Compute what is missing.

    Parameters
    ----------
    plan : Plan
    store : ResultStore
    pool : Pool
    text : str
        The study file, kept beside the results.
    command : str
        Kept with the results.
    retry_failed : bool
        Try again what failed before.
    report : callable
        Called with points done, all points, and a few words.

    Returns
    -------
    int
        Points computed in this run.
    """
    number = store.plan(plan.study.name, text, plan.provenance(command), planned_keys(plan))
    driver = Driver(plan, store, pool, number, retry_failed=retry_failed, report=report)
    driver.want(plan.points)
    asked = [_Asked(question, rounds(question), []) for question in questions(plan.study)]
    asked = [one for one in asked if _advance(one, None, plan, driver)]
    try:
        while asked or not driver.is_idle:
            driver.step()
            ready = [one for one in asked if all(map(driver.is_settled, one.keys))]
            for one in ready:
                rows = [driver.row(key) for key in one.keys]
                if not _advance(one, rows, plan, driver):
                    asked.remove(one)
    finally:
        driver.flush()
    return driver.computed


def _advance(
    asked: _Asked,
    rows: list[dict[str, Any] | None] | None,
    plan: Plan,
    driver: Driver,
) -> bool:
    """Go on with a question; False once it has its answers."""
    failed = next((row for row in rows or [] if not answered(row)), None)
    if failed is not None:
        _record(asked.question, None, str(failed["error"]), plan, driver)
        return False
    try:
        points = next(asked.rounds) if rows is None else asked.rounds.send([row for row in rows if row is not None])
    except StopIteration as end:
        for answer in end.value:
            _record(asked.question, answer, None, plan, driver)
        return False
    asked.keys = [plan.key(point) for point in points]
    calibration = plan.calibration_key(asked.question.calibration)
    driver.plan([("calibration", calibration), *(("point", key) for key in asked.keys)])
    driver.want(points, urgent=True)
    return True


def _record(question: Question, answer: Answer | None, error: str | None, plan: Plan, driver: Driver) -> None:
    exact = plan.key(question.at(None))
    about: Mapping[str, Any] = {
        **{name: getattr(question.exact, name) for name in ("softmax_shift", "gelu_shift", "alignment")},
        **{name: getattr(question, name) for name in ("scope", "within", "overflow", "order")},
        "evaluation_images": question.images,
    }
    found: dict[str, Any] = {} if answer is None else answer.columns()
    layer = found.get("layer")
    content = {"exact": exact, "layer": layer, "search": search_version(), **about}
    key = fingerprint.value(content | columns_of(identity(question.calibration)))[:32]
    status = "done" if error is None else "failed"
    row = {"key": key, "calibration": plan.calibration_key(question.calibration), **about,
           **columns_of(plain(question.calibration)), **found, "status": status, "error": error}  # fmt: skip
    driver.answer(row)
