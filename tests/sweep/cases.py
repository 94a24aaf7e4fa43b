"""A study whose work is pretended, and what its results have to be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.studies.study_work import pretend
from ptqsim.sweep.plan.parts import merged
from ptqsim.sweep.plan.planning import Plan
from ptqsim.sweep.results.store import ResultStore
from ptqsim.sweep.study.point import Point
from ptqsim.sweep.work.task import Outcome

SMALL = """
name: small
axes:
  model: vit_digits
  method: [percentile, ptq4vit]
  w_bits: [8, 6]
  a_bits: [8, 6]
  acc_bits: [exact, {from: 14, to: 20}]
  overflow: [wrap, saturate]
require: w_bits == a_bits
"""


def expected(plan: Plan, points: Sequence[Point]) -> dict[str, tuple[str, float]]:
    """Digest and top-1 of every point by its key, computed here and now."""
    for calibration in {point.calibration for point in points if point.calibration is not None}:
        pretend(plan.calibration_task(calibration))
    found = {}
    for point in points:
        parts = [Outcome(task.key, "done", pretend(task)) for task in plan.point_tasks(point)]
        values = merged(plan.key(point), point.images, parts).values
        found[plan.key(point)] = (values["logits_sha256"], values["top1"])
    return found


def stored(path: Path) -> list[tuple[str, str, tuple[str, float]]]:
    """Key, status, and digest with top-1 of every row that there is, planned or not."""
    with ResultStore(path, write=False) as store:
        rows: list[dict[str, Any]] = list(store.rows("points", planned=False))
    return [(row["key"], row["status"], (row["logits_sha256"], row["top1"])) for row in rows]


def assert_each_once(path: Path, plan: Plan, points: Sequence[Point]) -> None:
    """Every point is there exactly once, none is lost, none is different, and there is nothing else."""
    rows = stored(path)
    assert len(rows) == len(points)
    assert {status for _, status, _ in rows} == {"done"}
    assert {key: values for key, _, values in rows} == expected(plan, points)
