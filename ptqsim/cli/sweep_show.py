"""Output of ``ptqsim sweep``: the estimate of a dry run, the state of a study, a recomputed point."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from ptqsim.cli.framework.output import Cell, Output

if TYPE_CHECKING:
    from ptqsim.sweep.execution.estimate import Estimate
    from ptqsim.sweep.execution.recompute import Recomputed
    from ptqsim.sweep.results.store import ResultStore

_STATES: Final = ("planned", "done", "trapped", "failed", "missing")
_SHOWN_FAILURES: Final = 10


def show_estimate(out: Output, estimate: Estimate, seconds: float) -> dict[str, Any]:
    """Number of points and calibrations, and the time they take."""
    rows: list[tuple[str, Cell]] = [
        ("points of the grid", estimate.points),
        ("calibrations that they share", estimate.calibrations),
        ("searches of the questions", estimate.searches),
        ("points that these need, about", estimate.search_points),
        ("points that are missing, about", estimate.missing_points),
        ("calibrations that are missing", estimate.missing_calibrations),
        ("time of one process, about", _duration(estimate.seconds)),
        (f"on {estimate.workers} processes, about", _duration(estimate.seconds / estimate.workers)),
    ]
    out.table(["", ""], rows, title="Dry run")
    out.note(f"times are from {estimate.source}; this estimate took {seconds:.1f} s")
    return asdict(estimate)


def show_status(out: Output, results: ResultStore) -> dict[str, Any]:
    """Finished points, failures with their reasons, and the answers to questions."""
    counts = results.counts()
    rows: list[list[Cell]] = [[kind, *(found[name] for name in _STATES)] for kind, found in counts.items()]
    out.table(["", *_STATES], rows, title=f"study {results.study()[0]}, {results.path}")
    failures = [row for row in results.rows("points") if row["status"] == "failed"]
    for row in failures[:_SHOWN_FAILURES]:
        out.note(f"failed: {row['key'][:12]} {row['model']} {row['method']}: {str(row['error']).splitlines()[0]}")
    if len(failures) > _SHOWN_FAILURES:
        out.note(f"and {len(failures) - _SHOWN_FAILURES} more that failed; --json lists all")
    answers = list(results.rows("answers"))
    shown = [row for row in answers if row["layer"] is None]
    if shown:
        columns = ["model", "method", "w_bits", "a_bits", "overflow", "order", "scope", "acc_bits"]
        lines: list[list[Cell]] = [
            [*(row[name] for name in columns), _percent(row["top1"]), _percent(row["exact_top1"])] for row in shown
        ]
        out.table([*columns, "top-1", "exact"], lines, title="Narrowest accumulators")
    return {"store": results.path, "counts": counts, "failed": failures, "answers": answers}


def show_recomputed(out: Output, found: Recomputed) -> dict[str, Any]:
    """The point, and whether it has the bits that are stored."""
    rows: list[tuple[str, Cell]] = [
        (name, value if isinstance(value, str | int | float) else str(value))
        for name, value in found.row.items()
        if value is not None and name != "observed"
    ]
    out.table(["", found.key], rows, title="Computed anew")
    word = {None: "nothing is stored to compare it with", True: "every logit as stored", False: "logits DIFFER"}
    out.note(word[found.agrees])
    return {"key": found.key, "row": found.row, "stored": found.stored, "agrees": found.agrees}


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else str(timedelta(seconds=round(seconds)))


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"
