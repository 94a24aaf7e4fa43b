"""Tasks on a Dask cluster, whoever brought it: sent in small numbers, taken back as they finish.

The same class serves a laptop and a batch system, so that what is tested on one holds on the other.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from ptqsim.sweep.work.task import Outcome, WorkTask, perform

if TYPE_CHECKING:
    from distributed import Client, Future

BUNDLE_SECONDS: Final = 0.2
"""Tasks that are expected to take less together travel in one message."""
_MAX_BUNDLE: Final = 256
_PER_WORKER: Final = 3  # messages under way for each worker: one runs, the next ones are there when it ends
_SPARE: Final = 4
_DELIVERY_SECONDS: Final = 600.0
_DELIVERIES: Final = 3


class Pool(Protocol):
    """A runner of tasks."""

    @property
    def room(self) -> int:
        """Number of tasks to submit now."""

    @property
    def busy(self) -> int:
        """Tasks submitted and not taken back."""

    def submit(self, tasks: Sequence[WorkTask], *, urgent: bool = False) -> None:
        """Have tasks done; urgent ones before those that wait."""

    def take(self) -> list[Outcome]:
        """Wait for at least one that is done."""


class DaskPool:
    """Tasks on the workers of a Dask client.

    Parameters
    ----------
    client : distributed.Client
    send : callable
        Makes a file of the client's cache ready and returns its bytes, when a worker lacks it; called with the task
        and the file's name.
    """

    def __init__(self, client: Client, send: Callable[[WorkTask, str], bytes]) -> None:
        from distributed import as_completed

        self._client = client
        self._send = send
        self._finished: Any = as_completed(loop=client.loop, raise_errors=False)
        self._running: dict[Future[Any], Sequence[WorkTask]] = {}
        self._tasks = 0
        self._seconds = BUNDLE_SECONDS  # of a task, a running mean: the first ones travel alone
        self._nonce = secrets.token_hex(4)
        self._sent = 0
        self._delivered: set[tuple[str, str]] = set()  # machine and file
        self._returned: Counter[tuple[str, str]] = Counter()  # task and file: how often it was lacking

    @property
    def workers(self) -> int:
        """Threads of all workers that are connected now, at least 1."""
        threads: dict[str, int] = self._client.nthreads()
        return max(1, sum(threads.values()))

    @property
    def bundle(self) -> int:
        """Tasks in one message."""
        return max(1, min(_MAX_BUNDLE, int(BUNDLE_SECONDS / max(self._seconds, 1e-9))))

    @property
    def room(self) -> int:
        """See `Pool`."""
        return max(0, (_PER_WORKER * self.workers + _SPARE - len(self._running)) * self.bundle)

    @property
    def busy(self) -> int:
        """See `Pool`."""
        return self._tasks

    def submit(self, tasks: Sequence[WorkTask], *, urgent: bool = False) -> None:
        """See `Pool`."""
        size = 1 if urgent else self.bundle
        parts = [tasks[start : start + size] for start in range(0, len(tasks), size)]
        if not parts:
            return
        self._sent += 1
        keys = [f"{part[0].kind}-{part[0].key}-{self._nonce}-{self._sent}-{at}" for at, part in enumerate(parts)]
        futures = self._client.map(_perform_all, parts, key=keys, pure=False, priority=int(urgent))
        self._watch(dict(zip(futures, parts, strict=True)))

    def take(self) -> list[Outcome]:
        """See `Pool`."""
        found: list[Outcome] = []
        while not found and self._running:
            finished: list[Future[Any]] = self._finished.next_batch(block=True)
            good = [future for future in finished if future.status == "finished"]
            results = dict(zip(good, self._client.gather(good), strict=True))
            for future in finished:
                tasks = self._running.pop(future)
                self._tasks -= len(tasks)
                if future in results:
                    found.extend(self._without_missing(tasks, results[future]))
                elif len(tasks) > 1:  # one of them took the worker down: each for itself
                    for task in tasks:
                        self.submit([task], urgent=True)
                else:
                    found.extend(_lost(future, tasks))
        return found

    def _watch(self, futures: dict[Future[Any], Sequence[WorkTask]]) -> None:
        self._running |= futures
        self._tasks += sum(map(len, futures.values()))
        self._finished.update(list(futures))

    def _without_missing(self, tasks: Sequence[WorkTask], outcomes: Sequence[Outcome]) -> Iterator[Outcome]:
        """Complete outcomes; a task whose machine lacks files gets them and is submitted again to the same worker."""
        again: dict[str, list[tuple[WorkTask, Outcome]]] = {}
        for task, outcome in zip(tasks, outcomes, strict=True):
            if outcome.status == "missing" and any(self._returned[task.key, n] > _DELIVERIES for n in outcome.missing):
                lost = f"the worker at {outcome.address} doesn't keep {', '.join(outcome.missing)}"
                yield replace(outcome, status="failed", error=lost)
                continue
            if outcome.status == "missing":
                again.setdefault(outcome.address, []).append((task, outcome))
                continue
            self._seconds += 0.1 * (outcome.seconds - self._seconds)
            yield outcome
        for address, lacking in again.items():
            self._deliver(address, lacking)

    def _deliver(self, address: str, lacking: Sequence[tuple[WorkTask, Outcome]]) -> None:
        files: dict[tuple[str, str], WorkTask] = {}
        for task, outcome in lacking:
            for name in outcome.missing:
                self._returned[task.key, name] += 1
                # of several tasks that lack a file at the same time the first one gets it for all
                if (outcome.host, name) not in self._delivered or self._returned[task.key, name] > 1:
                    files[outcome.host, name] = task
        with suppress(OSError, ValueError):  # the worker is gone: another one will say what it lacks
            for (host, name), task in files.items():
                content = self._client.scatter(self._send(task, name), workers=[address], hash=False)
                kept = self._client.submit(
                    _keep, task.payload["cache"], name, content, workers=[address], pure=False, priority=2
                )
                kept.result(timeout=_DELIVERY_SECONDS)
                self._delivered.add((host, name))
        self._sent += 1
        tasks = [task for task, _ in lacking]
        future = self._client.submit(
            _perform_all, tasks, workers=[address], allow_other_workers=True, pure=False, priority=1
        )
        self._watch({future: tasks})


def _perform_all(tasks: Sequence[WorkTask]) -> list[Outcome]:
    from distributed import get_worker

    address = get_worker().address
    found = [perform(task) for task in tasks]
    return [replace(one, address=address) if one.status == "missing" else one for one in found]


def _keep(place: dict[str, str], name: str, content: bytes) -> None:
    """On a worker: put a file into the cache of its machine."""
    from ptqsim.sweep.work.content import CachePlace

    cache = CachePlace(**place).open()
    if not cache.has(name):
        cache.put(name, content)


def _lost(future: Future[Any], tasks: Sequence[WorkTask]) -> list[Outcome]:
    """Outcomes of tasks whose worker died, and the next ones that tried, or that no worker could read."""
    error = future.exception()
    told = f"{type(error).__name__}: {error}"
    return [Outcome(task.key, "failed", error=told) for task in tasks]
