"""Points: independent pieces of work behind figures and tables, each kept as it is finished, run side by side.

A point is run by one process, on its share of the cores; nothing passes between processes but the files of the store.
Results do not depend on how many run at a time.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, NoReturn, Protocol

import torch
from threadpoolctl import threadpool_limits

import ptqsim as pq
from ptqsim.common import fingerprint
from ptqsim.common.progress import no_bar

from .frame import Data
from .workload import Workload


class Unit(Protocol):
    """Something that a process can be sent to do: a point, or an artifact that has none."""

    def key(self, workload: Workload) -> dict[str, Any]:
        """Everything that decides the data, as JSON values."""

    def data(self, workload: Workload) -> Data:
        """Its data, computed and kept if it isn't yet."""


UnitOfWork = tuple[Workload, Unit]


@dataclass(frozen=True)
class WorkPoint(ABC):
    """An independent piece of work.  Its fields are plain data, and with the workload they decide the result.

    Attributes
    ----------
    kind : str
        What it is, for the names of files.
    """

    kind: ClassVar[str]

    @abstractmethod
    def compute(self, workload: Workload) -> Data:
        """Do it."""

    def key(self, workload: Workload) -> dict[str, Any]:
        """Everything that decides the data, besides the code."""
        return {**workload.key(), "point": asdict(self)}

    def data(self, workload: Workload) -> Data:
        """The kept data; computed and kept if there is none."""
        return workload.store.data(self.kind, self.key(workload), lambda: self.compute(workload))

    def row(self, workload: Workload) -> dict[str, Any]:
        """The only row of the frame ``point``."""
        (row,) = self.data(workload)["point"].records()
        return row


def run_side_by_side(tasks: Iterable[UnitOfWork], jobs: int, workload: Workload) -> None:
    """Do what is not done yet, in processes.

    Ctrl-C ends it; what was finished is kept.

    Parameters
    ----------
    tasks : iterable of (Workload, Unit)
        Equal ones are done once.
    jobs : int
        Processes; each has an equal share of the cores.
    workload : Workload
        Whose progress bar shows what is left.
    """
    waiting = _distinct(tasks)
    threads = max(1, (os.cpu_count() or 1) // jobs)
    pool = ProcessPoolExecutor(
        min(jobs, max(1, len(waiting))), multiprocessing.get_context("spawn"), initializer=_start, initargs=(threads,)
    )
    with workload.progress(f"{jobs} jobs", "point") as report:
        report(0, len(waiting), "")
        try:
            futures: list[Future[str]] = [pool.submit(_do, replace(w, progress=no_bar), unit) for w, unit in waiting]
            for done, future in enumerate(as_completed(futures), start=1):
                report(done, len(waiting), future.result())
        except SystemExit:
            raise KeyboardInterrupt from None  # Ctrl-C reaches all processes, and this one may hear of it from another
        finally:
            pool.shutdown(cancel_futures=True)


def _distinct(tasks: Iterable[UnitOfWork]) -> Sequence[UnitOfWork]:
    """Each task once, those of one workload one after the other, as they share what was captured of it."""
    found: dict[str, UnitOfWork] = {}
    order: dict[Workload, int] = {}
    for workload, unit in tasks:
        order.setdefault(workload, len(order))
        found.setdefault(fingerprint.value({"unit": type(unit).__qualname__, **unit.key(workload)}), (workload, unit))
    return sorted(found.values(), key=lambda task: order[task[0]])


_open: list[Workload] = []
"""In a process of the pool: the workload of its last task, with what was captured of it."""


def _start(threads: int) -> None:
    def stop(*_: object) -> NoReturn:
        raise SystemExit(130)  # ends the process as any other: what was captured on disk is removed

    signal.signal(signal.SIGINT, stop)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    threadpool_limits(threads)
    pq.set_num_threads(threads)


def _end_with_parent() -> None:
    """A process that was killed can't end the others: each of them waits for that, and ends as if by Ctrl-C."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    while True:  # once ends the point that is being done, and the pool's loop goes on to the next
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)


def _do(workload: Workload, unit: Unit) -> str:
    if not _open or _open[0] != workload:
        for previous in _open:
            previous.__exit__()
        _open[:] = [workload]
    unit.data(_open[0])
    return str(getattr(unit, "name", None) or getattr(unit, "kind", ""))
