"""Run a study: many models, methods, bit-widths and accumulators, each point once, on this machine or a cluster.

    ptqsim sweep study.yaml --dry-run       # how many points and hours
    ptqsim sweep study.yaml                 # after Ctrl-C the same again
    ptqsim sweep study.yaml --status        # also while it runs
    ptqsim sweep study.yaml --scheduler tcp://node1:8786
    ptqsim sweep study.yaml --parquet points.parquet --csv points.csv

It runs in one process per core, or with *--scheduler* on a Dask cluster that you have started, with the same bits.
Results go to one SQLite file beside the study. docs/sweep.md describes the study file; **ptqsim report** shows results.
"""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ptqsim.cli.framework import places
from ptqsim.cli.framework.errors import on_interrupt
from ptqsim.cli.framework.output import JsonOption, Output
from ptqsim.cli.sweep_show import show_estimate, show_recomputed, show_status

if TYPE_CHECKING:
    from distributed import Client

    from ptqsim.sweep.results.store import ResultStore
    from ptqsim.sweep.study.definition import Study


def sweep(
    study: Annotated[Path, typer.Argument(parser=places.path, help="Study file, YAML.")],
    store: Annotated[
        Path | None,
        typer.Option(
            "--store", parser=places.path, help="File of the results; by default the study's name with .sqlite."
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option("--cache", parser=places.path, help="Folder of calibrated networks; by default STORE.cache."),
    ] = None,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Processes here; one per core.")] = None,
    scheduler: Annotated[str | None, typer.Option("--scheduler", help="Address of a Dask scheduler to use.")] = None,
    batch: Annotated[bool, typer.Option("--batch", help="Submit jobs as the study's 'cluster' says.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and how long it takes.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Say what is done, also while it runs.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume/--fresh", help="Go on with the results that are there, or refuse to.")
    ] = True,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try again what failed.")] = False,
    point: Annotated[
        str | None, typer.Option("--point", help="Compute one point anew, by the first digits of its key.")
    ] = None,
    parquet: Annotated[
        Path | None, typer.Option("--parquet", parser=places.path, help="Export the points to a Parquet file.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", parser=places.path, help="Export the points to a CSV file.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    from ptqsim.sweep.results.store import ResultStore
    from ptqsim.sweep.study.reading import read_study

    out = Output(as_json)
    wanted = read_study(study)
    place = store or study.with_suffix(".sqlite")
    places.check_file("--parquet", parquet, [study, place])
    places.check_file("--csv", csv, [study, place, parquet])
    if (not status and not (parquet or csv)) or dry_run or point:
        done = _work(out, wanted, study, place, cache or place.with_name(place.name + ".cache"), jobs=jobs,
                     scheduler=scheduler, batch=batch, dry_run=dry_run, resume=resume, retry_failed=retry_failed,
                     point=point)  # fmt: skip
        if done is not None:
            out.result(done)
            return
    with ResultStore(place, write=False) as results:
        _export(out, results, wanted, study, parquet, csv)
        found = show_status(out, results)
    out.result(found)


def _work(
    out: Output,
    study: Study,
    path: Path,
    place: Path,
    cache: Path,
    *,
    jobs: int | None,
    scheduler: str | None,
    batch: bool,
    dry_run: bool,
    resume: bool,
    retry_failed: bool,
    point: str | None,
) -> dict[str, Any] | None:
    """Run it; a result in place of the status, if there is one."""
    from ptqsim.sweep.execution import estimate
    from ptqsim.sweep.execution.clusters import default_jobs
    from ptqsim.sweep.execution.pool import DaskPool
    from ptqsim.sweep.execution.recompute import recompute
    from ptqsim.sweep.execution.run import run
    from ptqsim.sweep.plan.open_study import OpenStudy
    from ptqsim.sweep.results.store import ResultStore

    if not resume and place.exists():
        raise ValueError(f"{place} holds results: leave --fresh out to go on with them, or name another --store")
    places.check_file("--store", place, [path])
    places.check_folder("--cache", cache)
    if place.is_file() and place.stat().st_size:
        ResultStore(place, write=False).close()  # a store that cannot be read is found before the work
    start = time.perf_counter()
    runs = point is None and not dry_run
    with ExitStack() as stack:
        client: Client | None = None
        if runs and scheduler is not None:  # an address where none answers is found before the work
            client = stack.enter_context(_client(study, 0, scheduler, batch))
        opened = OpenStudy(study, path, cache)
        plan = opened.plan
        if point is not None:
            return show_recomputed(out, recompute(plan, place, point))
        workers = jobs or default_jobs()
        if dry_run:
            found = estimate.estimated(plan, place, workers)
            return show_estimate(out, found, time.perf_counter() - start)
        results = stack.enter_context(ResultStore(place))
        client = client or stack.enter_context(_client(study, workers, scheduler, batch))
        pool = DaskPool(client, opened.send)
        kept = on_interrupt(lambda: f"finished points are kept in {place}: the same command goes on")
        with kept, out.progress("points", "point") as report:
            command = " ".join(["ptqsim", *sys.argv[1:]])
            computed = run(plan, results, pool, path.read_text(encoding="utf-8"), command,
                           retry_failed=retry_failed, report=report)  # fmt: skip
    out.note(f"{computed} points computed in {time.perf_counter() - start:.1f} s; results in {place}")
    return None


def _client(study: Study, jobs: int, scheduler: str | None, batch: bool) -> AbstractContextManager[Client]:
    from ptqsim.sweep.execution import clusters

    if batch and scheduler is not None:
        raise ValueError("both --scheduler and --batch were given: choose one of them")
    if batch:
        if study.cluster is None:
            raise ValueError("--batch needs a 'cluster' in the study, see docs/sweep.md")
        return clusters.batch_system(study.cluster)
    return clusters.connected(scheduler) if scheduler is not None else clusters.local(jobs)


def _export(
    out: Output, results: ResultStore, study: Study, path: Path, parquet: Path | None, csv: Path | None
) -> None:
    from ptqsim.sweep.results import export

    if parquet is None and csv is None:
        return
    points = export.points(results, export.gates_of(study, path))
    for file, write in ((parquet, export.write_parquet), (csv, export.write_csv)):
        if file is not None:
            write(points, file)
            out.note(f"{file} written, {len(points):,} points")
