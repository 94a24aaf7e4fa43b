"""Overhead of a study: 100,000 points that do no work, on a real local cluster."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from ptqsim.cli.framework.output import Output
from ptqsim.sweep.execution import clusters
from ptqsim.sweep.execution.driver import planned_keys
from ptqsim.sweep.execution.pool import DaskPool
from ptqsim.sweep.execution.run import run
from ptqsim.sweep.plan.planning import Plan
from ptqsim.sweep.results.store import ResultStore
from ptqsim.sweep.study.reading import parse_study
from ptqsim.sweep.work.content import ContentCache
from ptqsim.sweep.work.task import Outcome

WORK: Final = "benchmarks.studies.study_work:pretend"
_SOURCE: Final = ("name", "sha256", "weights", "data", "calibration_data", "validation_data")
TARGETS: Final = {"expansion_seconds": 5.0, "rows_per_second": 5000.0, "overhead_ms": 5.0, "client_mib": 1024.0}
"""At most, at least, at most, at most."""


@dataclass(frozen=True)
class Scale:
    """Measured times and rates.

    Attributes
    ----------
    points, calibrations, workers : int
    expansion_seconds : float
        From the text of a study to all points and their keys.
    rows_per_second : float
        Into a new store, in transactions as in a run.
    run_seconds : float
        Of the whole study on the cluster.
    overhead_ms : float
        Of one worker's time, per point, as the work itself is nothing.
    client_mib : float
        Largest memory of this process.
    resume_seconds : float
        Of a second run that finds everything done.
    """

    points: int
    calibrations: int
    workers: int
    expansion_seconds: float
    rows_per_second: float
    run_seconds: float
    overhead_ms: float
    client_mib: float
    resume_seconds: float

    @property
    def met(self) -> dict[str, bool]:
        """Targets by name, each with True if it is met."""
        return {
            name: getattr(self, name) >= target if name == "rows_per_second" else getattr(self, name) <= target
            for name, target in TARGETS.items()
        }


def study_of(points: int) -> str:
    """A study with about so many points, in calibrations that 1,000 of them share."""
    return f"""
name: scale
axes:
  model: vit_digits
  method: [percentile, base_ptq, ptq4vit, liu2021]
  w_bits: [4, 5, 6, 7, 8]
  a_bits: [4, 5, 6, 7, 8]
  softmax_shift: {{from: 1, to: 5}}
  gelu_shift: {{from: 1, to: 5}}
  acc_bits: {{from: 12, to: 31}}
  overflow: [wrap, saturate]
  seed: {{from: 0, to: {max(0, points // 100_000 - 1)}}}
require: {"w_bits >= 4" if points >= 100_000 else "w_bits == 8 and a_bits == 8 and softmax_shift == 1"}
"""


def plan_of(text: str, cache: Path) -> Plan:
    """A plan whose work is pretended, so that it needs neither a network nor data."""
    study = parse_study(text)
    sources: dict[str, dict[str, Any]] = {
        choice.called: {**dict.fromkeys(_SOURCE, choice.called), "options": {}} for choice in study.axes.model
    }
    return Plan(study, sources, ContentCache(cache), "none", work=WORK)


def measure(points: int, workers: int, output: Output) -> Scale:
    """Expand, store and run a study of about so many points."""
    text = study_of(points)
    with TemporaryDirectory(prefix="ptqsim-scale-") as name:
        folder = Path(name)
        parse_study(text)  # imports what it needs
        start = time.perf_counter()
        plan = plan_of(text, folder / "cache")
        tasks = sum(1 for _ in planned_keys(plan))
        expansion = time.perf_counter() - start
        rows = _rows_per_second(plan, folder / "rows.sqlite")
        with clusters.local(workers) as client, ResultStore(folder / "run.sqlite") as store:
            pool = DaskPool(client, lambda task, missing: (folder / "cache" / missing).read_bytes())
            with output.progress("study", "point") as report:
                start = time.perf_counter()
                run(plan, store, pool, text, "ptqsim bench --study", report=report)
                seconds = time.perf_counter() - start
            start = time.perf_counter()
            run(plan, store, pool, text, "ptqsim bench --study")
            again = time.perf_counter() - start
            counts = store.counts()
        if counts["point"]["done"] != len(plan.points):
            raise RuntimeError(f"{counts['point']} of {len(plan.points)} points: some are lost")
    return Scale(
        points=len(plan.points),
        calibrations=tasks - len(plan.points),
        workers=workers,
        expansion_seconds=expansion,
        rows_per_second=rows,
        run_seconds=seconds,
        overhead_ms=1e3 * seconds * workers / tasks,
        client_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        resume_seconds=again,
    )


def _rows_per_second(plan: Plan, path: Path) -> float:
    values = {
        "top1": 80.0,
        "cross_entropy": 0.5,
        "kl": 0.1,
        "kl_standard_error": 0.01,
        "agreement": 90.0,
        "logits_sha256": "0" * 64,
    }
    with ResultStore(path) as store:
        start = time.perf_counter()
        for first in range(0, len(plan.points), 2000):
            part = plan.points[first : first + 2000]
            rows = [plan.point_row(point, Outcome(plan.key(point), "done", values)) for point in part]
            store.record("points", rows)
        return len(plan.points) / (time.perf_counter() - start)


def show(scale: Scale, output: Output) -> dict[str, Any]:
    """Print what was measured beside the targets."""
    rows = [(name, f"{getattr(scale, name):.4g}", f"{target:g}", scale.met[name]) for name, target in TARGETS.items()]
    output.table(["", "measured", "target", "met"], rows, title=f"{scale.points:,} points, {scale.workers} workers")
    output.note(
        f"{scale.calibrations:,} calibrations; the run took {scale.run_seconds:.1f} s, and one that finds all done "
        f"{scale.resume_seconds:.1f} s"
    )
    return {name: getattr(scale, name) for name in scale.__dataclass_fields__} | {"met": scale.met}
