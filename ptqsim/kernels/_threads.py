"""Ranges of work spread over threads.

Every kernel takes ``(start, stop, ...)`` and writes only what belongs to that range, so a result cannot depend on how
many threads there are.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cache
from itertools import pairwise
from typing import Final

GRAIN: Final = 1 << 16
"""Elements below which another thread costs more than it brings."""

_pool: ThreadPoolExecutor | None = None
_workers = 0  # of the pool
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


def _forget_pool() -> None:
    global _pool
    _pool = None


# A forked child inherits the executor but none of its threads.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def run(kernel: Callable[..., object], size: int, grain: int, *args: object) -> list[object]:
    """Call ``kernel(start, stop, *args)`` over [0, size), in parts of `grain` or more; what each part gave."""
    global _pool, _workers
    threads = count()
    parts = min(threads, size // max(grain, 1))
    if parts <= 1:
        return [kernel(0, size, *args)]
    if _pool is None or _workers < threads:  # a larger one does for fewer threads
        _pool, _workers = ThreadPoolExecutor(threads, thread_name_prefix="ptqsim"), threads
    edges = [size * part // parts for part in range(parts + 1)]
    # A copy of the context takes numpy's floating-point error state along.
    waiting = [_pool.submit(copy_context().run, kernel, start, stop, *args) for start, stop in pairwise(edges[1:])]
    first = kernel(0, edges[1], *args)
    return [first, *(future.result() for future in waiting)]
