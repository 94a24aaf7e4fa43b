"""Work on several threads: pieces in parallel, each on one thread, so that no sum depends on their number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

import torch
from threadpoolctl import threadpool_limits

import ptqsim as pq

T = TypeVar("T")
R = TypeVar("R")

_CPU = torch.device("cpu")


@contextmanager
def one_thread(device: torch.device = _CPU) -> Iterator[None]:
    """Torch and BLAS on one thread: the order of their sums, of gradients above all, depends on the number of threads.

    Parameters
    ----------
    device : torch.device
        On which the work is; elsewhere than on the CPU nothing is changed.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu":
        yield
        return
    try:
        torch.set_num_threads(1)
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(threads)


def each(work: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """``work(item)`` for every item, as the results come.

    Inside of ``work`` torch and BLAS use one thread, whatever the number of workers, so that no result depends on it,
    and the simulator's kernels, whose results never do, the threads that are left.
    An error, or Ctrl-C, ends the iteration once the pieces in progress are done; the others are not begun.

    Parameters
    ----------
    work : callable
    items : iterable
    workers : int
        Pieces in progress at a time.
    """
    threads, kernel_threads = torch.get_num_threads(), pq.get_num_threads()
    pq.set_num_threads(max(1, kernel_threads // workers))
    try:
        with (
            threadpool_limits(1, user_api="blas"),
            ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool,
        ):
            futures = [pool.submit(work, item) for item in items]
            try:
                for future in as_completed(futures):
                    yield future.result()
            finally:
                for future in futures:
                    future.cancel()
    finally:
        torch.set_num_threads(threads)
        pq.set_num_threads(kernel_threads)


@cache
def settle_on_one_thread() -> None:
    """Torch, BLAS and the kernels of this process on one thread from now on."""
    torch.set_num_threads(1)
    threadpool_limits(1)
    pq.set_num_threads(1)
