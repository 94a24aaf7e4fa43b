"""Ranges of work spread over threads.

Every kernel takes ``(start, stop, team, ...)`` and writes only what belongs to that range, so a result cannot depend on
how many threads there are, or on which of them did what (see `team`).
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ptqsim.kernels.runtime import team as _team
from ptqsim.kernels.runtime.environment import in_default_environment
from ptqsim.kernels.runtime.machine import COMPILED

GRAIN: Final = 1 << 13
"""Elements below which another thread costs more than it brings."""

MOST: Final = 1024
"""Threads that can be asked for; more than any one machine has cores."""

_count: int | None = None


@cache
def available_threads() -> int:
    """Cores that this process may run on, or what NUMBA_NUM_THREADS allows, as of the first product."""
    limit = os.environ.get("NUMBA_NUM_THREADS", "")
    wanted = int(limit) if limit.isdecimal() and int(limit) > 0 else _cores()
    return min(wanted, MOST)


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


# How long an idle thread spins before it sleeps: longer than the gap between two products of a layer, and too short to
# be noticed by other programs that need the core.
_AWAKE_MICROSECONDS: Final = 100.0


@cache
def _pauses(microseconds: float) -> int:
    """Number of pause instructions that take so long on this processor."""
    count, shortest = 10_000, np.inf
    # The first call compiles, and later ones may be interrupted, so the shortest counts. The thread's own time is
    # taken, as it may have to wait for Python's lock.
    for _ in range(5):
        start = time.thread_time()
        _team.wait(count)
        shortest = min(shortest, time.thread_time() - start)
    return int(microseconds * 1e-6 * count / shortest)


_SHARES: Final = COMPILED and os.name == "posix"
"""True if there can be more than one thread, which needs compiled code and POSIX."""

_libc: Any = ctypes.CDLL(None) if _SHARES else None

# A semaphore in memory: unlike a file descriptor, other code cannot close it or write to it. macOS has POSIX semaphores
# by name only, so there its dispatch semaphores are used.
_SLEEP, _WAKE = (
    ("dispatch_semaphore_wait", "dispatch_semaphore_signal") if sys.platform == "darwin" else ("sem_wait", "sem_post")
)


def _semaphore(place: int) -> int:
    """The address of a semaphore at zero: `place`, or wherever the system has put it."""
    if sys.platform == "darwin":
        create = _libc.dispatch_semaphore_create
        create.restype, create.argtypes = ctypes.c_void_p, [ctypes.c_long]
        return int(create(0))
    if _libc.sem_init(ctypes.c_void_p(place), 0, ctypes.c_uint(0)):
        raise RuntimeError("no semaphore in memory")
    return place


def _address(function: Any) -> int:
    """Address of a function of the system; 0 if there is none."""
    return (ctypes.cast(function, ctypes.c_void_p).value or 0) if function else 0


def _words(count: int) -> tuple[NDArray[np.int64], int]:
    """Words aligned to a cache line, and their address."""
    spare = np.zeros(count + _team.LINE, np.int64)
    words = spare[-(spare.ctypes.data // spare.itemsize) % _team.LINE :][:count]
    return words, words.ctypes.data


class _Member:
    """A thread that works for teams; it runs compiled code only.

    A RuntimeError means that the system starts no more threads.
    """

    def __init__(self, number: int) -> None:
        words, self.address = _words(_team.MEMBER_WORDS)
        self.words = words
        words[_team.STATE], words[_team.NUMBER] = _team.IDLE, number
        words[_team.SLEEP], words[_team.WAKE] = (_address(getattr(_libc, name)) for name in (_SLEEP, _WAKE))
        words[_team.CHANNEL] = _semaphore(self.address + _team.SEMAPHORE * words.itemsize)
        threading.Thread(target=_team.serve(), args=(self.address,), name=f"ptqsim-{number}", daemon=True).start()
        # Never freed: the thread uses these words until the process ends.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(words))


class _Team:
    """The thread that calls kernels, and the members that help it."""

    def __init__(self, members: list[_Member]) -> None:
        words, self.address = _words(_team.team_words(len(members)))
        words[_team.LEAD], words[_team.YIELD] = _team.lead(), _address(getattr(_libc, "sched_yield", None))
        words[_team.COUNT], words[_team.UNIT] = len(members), 1
        # Members spin only if each of them can have a core of its own.
        words[_team.AWAKE] = _pauses(_AWAKE_MICROSECONDS) if 0 < len(members) < _cores() else 0
        words[_team.MEMBERS :][: len(members)] = [member.address for member in members]
        self._words = memoryview(words.data)
        self._grain = 1

    def run(self, kernel: Callable[..., object], size: int, grain: int, args: tuple[object, ...]) -> bool:
        if grain != self._grain:
            self._words[_team.UNIT] = unit(grain)
            self._grain = grain
        kernel(0, size, self.address, *args)
        found = self._words[_team.FOUND]
        if found & _team.FAILED:
            # Kernels check nothing, so running out of memory is the only way in which they fail.
            raise MemoryError("a part of the work found no memory; run with fewer threads or smaller arrays")
        return bool(found)


class _Teams(threading.local):
    """Teams of the calling thread by their number of members; a thread calls one kernel at a time."""

    def __init__(self) -> None:
        self.by_members: dict[int, _Team] = {}


_members: list[_Member] = []
_making = threading.Lock()
_teams = _Teams()


def _forget() -> None:
    # A forked child has none of the threads of its parent.
    global _teams, _making
    _members.clear()
    _teams, _making = _Teams(), threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _new_team(others: int) -> _Team:
    with _making:
        try:
            while len(_members) < others:
                _members.append(_Member(len(_members) + 1))
        except RuntimeError as error:
            warnings.warn(
                f"{len(_members) + 1} of {others + 1} threads work, as the system starts no more ({error}); results "
                f"are the same; to ask for no more, ptqsim.set_num_threads({len(_members) + 1})",
                RuntimeWarning,
                stacklevel=2,
            )
    return _Team(_members[:others])


def unit(grain: int) -> int:
    """Chunk size; chunks start at its multiples, and it is small enough that threads end together."""
    return max(grain // 16, 1)


@in_default_environment
def _interpreted(kernel: Callable[..., object], size: int, args: tuple[object, ...]) -> bool:
    return bool(kernel(0, size, 0, *args))


def run(kernel: Callable[..., object], size: int, grain: int, *args: object) -> bool:
    """Call ``kernel(start, stop, team, *args)`` for [0, size), in parts that start at multiples of ``unit(grain)``.

    Another thread takes part for every `grain` of the size.

    Returns
    -------
    bool
        True if any part returned something other than zero.
    """
    if not COMPILED:
        return _interpreted(kernel, size, args)
    # Without min and max: calling them takes longer than the rest of this function.
    parts, most = (size // grain if grain > 1 else size), threads()
    others = (parts if parts < most else most) - 1
    if others < 0 or not _SHARES:
        others = 0
    team = _teams.by_members.get(others)
    if team is None:
        team = _teams.by_members[others] = _new_team(others)
    return team.run(kernel, size, grain, args)
