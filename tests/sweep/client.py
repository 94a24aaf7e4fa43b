"""A client of its own process: run the study of a text on a scheduler, or on a local cluster.

Usage: client.py TEXT_FILE FOLDER SCHEDULER
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.studies.study import plan_of
from ptqsim.sweep.execution import clusters
from ptqsim.sweep.execution.pool import DaskPool
from ptqsim.sweep.execution.run import run
from ptqsim.sweep.results.store import ResultStore


def main(text: str, folder: Path, scheduler: str) -> None:
    plan = plan_of(text, folder / "cache")
    with ResultStore(folder / "s.sqlite") as store, clusters.connected(scheduler) as client:
        pool = DaskPool(client, lambda task, name: plan.cache.path(name).read_bytes())
        run(plan, store, pool, text, "client")


if __name__ == "__main__":
    main(Path(sys.argv[1]).read_text(), Path(sys.argv[2]), sys.argv[3])
