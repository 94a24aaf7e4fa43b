"""Ranges of work spread over threads.

Every kernel takes ``(start, stop, ...)`` and writes only what belongs to that range, so a result cannot depend on how
many threads there are.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import cache
from itertools import count, pairwise
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ptqsim.kernels import _watch
from ptqsim.kernels.machine import COMPILED

GRAIN: Final = 1 << 16
"""Elements below which another thread costs more than it brings."""

_count: int | None = None


@cache
def available_threads() -> int:
    """Cores that this process may run on, or what NUMBA_NUM_THREADS allows, as of the first product."""
    limit = os.environ.get("NUMBA_NUM_THREADS", "")
    if limit.isdecimal() and int(limit) > 0:
        return int(limit)
    return _cores()


@cache
def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads() -> int:
    """Number of threads that `run` uses."""
    return available_threads() if _count is None else _count


def use(number: int) -> None:
    """Set the number of threads that `run` uses."""
    global _count
    _count = number


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


# How long a thread waits awake for what comes next: longer than from one product of a layer to the next, shorter than
# anybody would notice whose other work it keeps from a core.
_AWAKE_MICROSECONDS: Final = 100.0

# How long after a job was given out the giver is still busy with Python, which one thread can run at a time.
_BUSY_MICROSECONDS: Final = 2.5

# The words by which a worker and those who give it jobs see each other, each in a cache line of its own.
_GIVEN, _DONE, _WORDS = 0, 8, 16


class _Worker:
    """A thread that does jobs, one after the other.

    Jobs and results go through queues, which put those who wait to sleep. In front of each is a watch on a count, for
    some time and without Python's lock, so that nobody sleeps who is soon needed. Counts decide when, never what.
    """

    def __init__(self, number: int) -> None:
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._counts: NDArray[np.int64] = np.zeros(_WORDS, np.int64)
        self._giving = Lock()  # a job that is not counted would leave this thread one behind for good
        Thread(target=self._serve, name=f"ptqsim-{number}", daemon=True).start()

    def give(self, job: _Job) -> tuple[Any, ...] | None:
        """Have a job done; with what to call `_watch.until` to wait awake until it is, if that is to be."""
        watch = _watch.pauses(_AWAKE_MICROSECONDS) if _stays_awake() else 0
        with self._giving:
            given = int(self._counts[_GIVEN]) + 1
            self._jobs.put(job)
            self._counts[_GIVEN] = given
        return (self._counts, _DONE, given, watch) if watch else None

    def _serve(self) -> None:
        # From one job to the next there is little to do, as nobody else can do anything in Python meanwhile.
        counts, get = self._counts, self._jobs.get
        for done in count(0):
            if _stays_awake():
                pauses, busy = _watch.pauses(_AWAKE_MICROSECONDS), _watch.pauses(_BUSY_MICROSECONDS)
                _watch.tell_and_wait(counts, _DONE, done, _GIVEN, done + 1, pauses, busy)
            get().do()  # keeps no name for the job, whose arrays would stay until the next one


def _stays_awake() -> bool:
    """Whether there is a core for every thread, and a compiler."""
    return COMPILED and threads() <= _cores()


_workers: list[_Worker] = []

# A forked child inherits the jobs and none of the threads.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_workers.clear)


def run(kernel: Callable[..., object], size: int, grain: int, *args: object) -> list[object]:
    """Call ``kernel(start, stop, *args)`` over [0, size), in parts of `grain` or more; what each part gave."""
    parts = min(threads(), size // max(grain, 1))
    if parts <= 1:
        return [kernel(0, size, *args)]
    edges = [size * part // parts for part in range(parts + 1)]
    while len(_workers) < parts - 1:
        _workers.append(_Worker(len(_workers) + 1))
    waiting: list[tuple[tuple[Any, ...] | None, SimpleQueue[Any]]] = []
    for worker, (start, stop) in zip(_workers, pairwise(edges[1:]), strict=False):
        # A copy of the context takes numpy's floating-point error state along.
        job = _Job(copy_context(), kernel, (start, stop, *args), SimpleQueue())
        waiting.append((worker.give(job), job.result))
    results = [kernel(0, edges[1], *args)]
    for watch, result in waiting:
        if watch:
            _watch.until(*watch)
        value, error = result.get()
        if error is not None:
            raise error
        results.append(value)
    return results
