"""Ranges of work spread over threads.

Every kernel takes ``(start, stop, ...)`` and writes only what belongs to that range, so a result cannot depend on how
many threads there are.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import cache
from itertools import pairwise
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final, NamedTuple

GRAIN: Final = 1 << 16
"""Elements below which another thread costs more than it brings."""

_count: int | None = None


@cache
def available_threads() -> int:
    """Cores that this process may run on, or what NUMBA_NUM_THREADS allows, as of the first product."""
    limit = os.environ.get("NUMBA_NUM_THREADS", "")
    if limit.isdecimal() and int(limit) > 0:
        return int(limit)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    cores = os.cpu_count()
    return 1 if cores is None else cores


def count() -> int:
    """Number of threads that `run` uses."""
    return available_threads() if _count is None else _count


def use(threads: int) -> None:
    """Set the number of threads that `run` uses."""
    global _count
    _count = threads


class _Job(NamedTuple):
    """A part of the work, and where what it gave goes to: that and None, or None and what it raised."""

    context: Context
    kernel: Callable[..., object]
    arguments: tuple[object, ...]
    result: SimpleQueue[tuple[object, BaseException | None]]

    def do(self) -> None:
        try:
            self.result.put((self.context.run(self.kernel, *self.arguments), None))
        except BaseException as error:
            self.result.put((None, error))


class _Workers:
    """Threads that wait for jobs.

    A future of `concurrent.futures` costs as much as the product of a head in attention (`ptqsim bench` has two threads
    beside one); a queue costs half of that.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Have none."""
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._threads = 0

    def submit(self, job: _Job, threads: int) -> None:
        """Have a job done by one of so many threads, or more."""
        while self._threads < threads:
            self._threads += 1
            Thread(target=_serve, args=(self._jobs,), name=f"ptqsim-{self._threads}", daemon=True).start()
        self._jobs.put(job)


def _serve(jobs: SimpleQueue[_Job]) -> None:
    while True:
        jobs.get().do()  # keeps no name for the job, whose arrays would stay until the next one


_workers = _Workers()

# A forked child inherits the jobs and none of the threads.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_workers.forget)


def run(kernel: Callable[..., object], size: int, grain: int, *args: object) -> list[object]:
    """Call ``kernel(start, stop, *args)`` over [0, size), in parts of `grain` or more; what each part gave."""
    threads = count()
    parts = min(threads, size // max(grain, 1))
    if parts <= 1:
        return [kernel(0, size, *args)]
    edges = [size * part // parts for part in range(parts + 1)]
    waiting: list[SimpleQueue[Any]] = []
    for start, stop in pairwise(edges[1:]):
        # A copy of the context takes numpy's floating-point error state along.
        job = _Job(copy_context(), kernel, (start, stop, *args), SimpleQueue())
        _workers.submit(job, threads)
        waiting.append(job.result)
    results = [kernel(0, edges[1], *args)]
    for result in waiting:
        value, error = result.get()
        if error is not None:
            raise error
        results.append(value)
    return results
