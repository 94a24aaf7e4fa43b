"""The results as JSON values."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from benchmarks import machine
from benchmarks.products import targets
from benchmarks.products.measure import Plan, Row
from benchmarks.products.overflow_peers import Verdict
from benchmarks.run import Results
from benchmarks.start import Start


def made_by(seed: int) -> dict[str, Any]:
    """Versions, machine and settings behind a result."""
    return {
        "command": machine.command(),
        "machine": machine.described(),
        "versions": machine.versions(),
        "seed": seed,
    }


def of_results(results: Results, plan: Plan) -> dict[str, Any]:
    """All rows with every round's seconds, and which targets are met."""
    cases = [_case(row) for row in results.rows]
    threaded = [
        {
            "shape": asdict(one.shape),
            "operands": one.operands,
            "case": one.case,
            "ratio": one.timing.ratio,
            "spread": one.timing.spread,
            "milliseconds": one.timing.seconds * 1e3,
            "target": targets.TWO_THREADS_OF_ONE if plan.judged else None,
            "met": one.timing.ratio >= targets.TWO_THREADS_OF_ONE if plan.judged else None,
        }
        for one in results.threaded
    ]
    return {
        "clock": "CPU time of one thread; wall time for two threads",
        "baseline": "numpy float32 matmul of the same shape, before each measurement",
        "rounds": plan.rounds,
        "targets": plan.targets,
        "cases": cases,
        "two_threads": threaded,
        "overflow_peers": [
            asdict(one) | {"times": one.times, "verdict": "wrong" if one.is_wrong else "right"}
            for one in results.verdicts
        ],
        "summary": _summary(results.rows, results.verdicts if plan.judged else []),
    }


def of_start(start: Start) -> dict[str, Any]:
    """The seconds of every start."""
    return {
        "clock": "CPU time of a process, all threads",
        "start": asdict(start) | {"first_cpu": start.first_cpu, "first_wall": start.first_wall},
        "targets": {"compile_seconds": targets.COMPILE_SECONDS, "first_seconds": targets.START_SECONDS},
    }


def _case(row: Row) -> dict[str, Any]:
    timings = {
        how: {
            "ratio": timing.ratio,
            "milliseconds": timing.seconds * 1e3,
            "gmac_per_s": row.shape.macs / timing.seconds / 1e9,
            "spread": timing.spread,
            "met": None if row.target is None else timing.ratio >= row.target,
            "seconds": list(timing.own),
            "baseline_seconds": list(timing.base),
        }
        for how, timing in row.timings.items()
    }
    of = None if row.of is None else {"case": row.of, "share": row.share, "target": row.of_target}
    return {
        "shape": asdict(row.shape),
        "operands": row.operands,
        "case": row.case,
        "peer": row.peer,
        "kernel": row.kernel,
        "certificate": row.certificate,
        "certified": row.certified,
        "overflowing": row.clamped,
        "wrong": row.wrong,
        "outputs": row.shape.outputs,
        "target": row.target,
        "met": row.met,
        "of": of,
        "timings": timings,
    }


def _summary(rows: list[Row], verdicts: list[Verdict]) -> dict[str, Any]:
    """Number of targets, number met with prepared operands, and the names of those that are missed."""
    found: dict[str, bool] = {}
    for row in rows:
        name = f"{row.shape.name}/{row.operands}/{row.case}"
        if row.target is not None:
            found[name] = row.main.ratio >= row.target
        if row.share is not None and row.of_target is not None:
            found[f"{name} of {row.of}"] = row.share >= row.of_target
    found |= {
        f"{targets.OF_APYTYPES:g} times {one.peer}, {one.overflow}": one.times >= targets.OF_APYTYPES
        for one in verdicts
        if one.peer == "apytypes"
    }
    missed = [name for name, met in found.items() if not met]
    return {"targets": len(found), "met": len(found) - len(missed), "missed": missed}
