"""Work is cut into parts that cover it once, whatever the number of threads and whoever comes late."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import ptqsim as pq
from ptqsim.kernels.runtime import team as _team
from ptqsim.kernels.runtime import threads as _threads
from ptqsim.kernels.runtime.atomic import load, pause, store
from ptqsim.kernels.runtime.jit import jit
from ptqsim.kernels.runtime.machine import COMPILED
from ptqsim.kernels.runtime.team import shared

needs_compiler = pytest.mark.skipif(not COMPILED, reason="what is not compiled is not shared")


@jit
def mark(start: int, stop: int, team: int, visits: Any, starts: Any) -> bool:
    """Counts how often every index is visited, and every start of a part; whether 7 is among them."""
    start = shared(start, stop, team)
    if start < stop:
        starts[start] += 1
    for index in range(start, stop):
        visits[index] += 1
    return start <= 7 < stop


@jit
def meet(start: int, stop: int, team: int, words: int, patience: int) -> int:
    """Each of two parts waits until the other one has begun; whether one waited too long."""
    start = shared(start, stop, team)
    if stop - start == 1:
        own = min(start, 1)
        store(words, own, 1)
        for _ in range(patience):
            if load(words, 1 - own):
                return 0
            pause()
        return 1
    return 0


@jit
def dawdle(start: int, stop: int, team: int, pauses: Any, visits: Any) -> int:
    """Takes as long for an index as it says."""
    start = shared(start, stop, team)
    for index in range(start, stop):
        for _ in range(pauses[index]):
            pause()
        visits[index] += 1
    return 0


@jit
def fail_at(start: int, stop: int, team: int, bad: int) -> int:
    """Raises in one part."""
    start = shared(start, stop, team)
    if start <= bad < stop:
        raise IndexError
    return 0


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    # Taken now: a test may have put a function without a cache in the place of one of these.
    before, cached = _threads._count, (_threads.available_threads, _threads._cores)
    yield
    _threads._count = before
    for function in cached:
        function.cache_clear()


def visited(size: int, grain: int) -> tuple[bool, NDArray[np.int64], NDArray[np.int64]]:
    visits, starts = np.zeros(size, np.int64), np.zeros(size + 1, np.int64)
    return _threads.run(mark, size, grain, visits, starts), visits, starts


@given(st.integers(0, 200), st.integers(0, 50), st.integers(1, 9))
def test_parts_cover_everything_once(size: int, grain: int, threads: int) -> None:
    _threads.use(threads)
    found, visits, starts = visited(size, grain)
    assert (visits == 1).all()
    assert found == (size > 7)
    assert all(start % _threads.unit(grain) == 0 for start in np.flatnonzero(starts))
    if threads == 1 or size < 2 * grain or not COMPILED:
        assert np.flatnonzero(starts).tolist() == [0] * (size > 0)


@needs_compiler
def test_parts_run_side_by_side() -> None:
    """Two parts that wait for each other meet, even on one core."""
    words, address = _threads._words(2)
    meet(0, 2, 0, address, 0)  # compiled now, the first call is as quick as the others
    patience = _threads._pauses(1e5)

    def have_met() -> bool:
        words[:] = 0
        alone = _threads.run(meet, 2, 1, address, patience)
        assert (words == 1).all()
        return not alone

    _threads.use(2)
    assert any(have_met() for _ in range(50))
    _threads.use(1)
    assert not _threads.run(meet, 2, 1, address, 0)  # all in one part


@needs_compiler
@pytest.mark.parametrize("bad", [0, 99])
def test_what_a_part_raises_is_told(bad: int) -> None:
    _threads.use(3)
    with pytest.raises(MemoryError, match="fewer threads"):
        _threads.run(fail_at, 100, 1, bad)
    assert not _threads.run(fail_at, 100, 1, 100)  # the threads live on


@needs_compiler
def test_threads_hold_no_descriptor_and_write_to_none(tmp_path: Path) -> None:
    """All descriptors are closed, and another file has their numbers, as when a program becomes a daemon."""
    done = subprocess.run(
        [sys.executable, "-c", _CLOSES_ALL, str(tmp_path / "theirs")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "theirs").read_bytes() == b""


# Threads sleep in between, so that they are woken.
_CLOSES_ALL = """
import os, sys, time
import numpy as np
import ptqsim as pq
number_format, reals = pq.Uniform(8, 0.01), np.linspace(-1, 1, 1 << 16)
pq.set_num_threads(4)
codes = number_format.encode(reals)
os.closerange(3, 64)
theirs = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
for number in range(theirs + 1, 64):
    os.dup2(theirs, number)
for _ in range(20):
    time.sleep(0.002)
    assert np.array_equal(number_format.encode(reals), codes)
"""


@needs_compiler
def test_the_most_threads_need_no_descriptors() -> None:
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = os.dup(0)
    os.close(spare)
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare, limits[1]))  # none at all can be opened
    try:
        _threads.use(64)
        assert (visited(1000, 1)[1] == 1).all()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert sum(thread.name.startswith("ptqsim-") for thread in threading.enumerate()) >= 63


@needs_compiler
def test_a_system_that_starts_no_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work is done by those that there are; a warning says how many."""
    started = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if thread.name == "ptqsim-3":
            raise RuntimeError("can't start new thread")
        started(thread)

    monkeypatch.setattr(_threads, "_members", [])
    monkeypatch.setattr(_threads, "_teams", _threads._Teams())
    monkeypatch.setattr(threading.Thread, "start", start)
    _threads.use(8)
    with pytest.warns(RuntimeWarning, match=r"3 of 8 threads work, .*can't start new thread.*set_num_threads\(3\)"):
        assert (visited(100, 1)[1] == 1).all()
    assert (visited(100, 1)[1] == 1).all()  # no second warning


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_keep_nothing_of_a_job(threads: int) -> None:
    _threads.use(threads)
    for _ in range(20):
        visits, starts = np.zeros(8, np.int64), np.zeros(9, np.int64)
        gone = weakref.ref(visits), weakref.ref(starts)
        _threads.run(mark, 8, 1, visits, starts)
        assert [one() is not None for one in gone] == [True, True]
        del visits, starts
        assert [one() for one in gone] == [None, None]


@needs_compiler
@pytest.mark.parametrize("cores", [1, 2], ids=["asleep", "awake"])
def test_parts_that_take_long_and_pauses_between_them(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than anybody stays awake, on either side; with fewer cores than threads nobody does at all."""
    monkeypatch.setattr(_threads, "_cores", lambda: cores)
    monkeypatch.setattr(_threads, "_teams", _threads._Teams())
    _threads.use(2)
    long = _threads._pauses(2000.0)
    for each in ((0, long), (long, 0), (long, long), (0, 0)):
        for rest in (0.0, 0.002):
            visits = np.zeros(10, np.int64)
            _threads.run(dawdle, 10, 1, np.repeat(each, 5) // 5, visits)
            assert (visits == 1).all()
            time.sleep(rest)


@needs_compiler
@pytest.mark.skipif(sys.platform == "darwin", reason="looks into a semaphore of POSIX")
@pytest.mark.parametrize("state", [_team.ASLEEP, _team.IDLE, _team.RUNNING], ids=["asleep", "late", "busy"])
def test_nobody_waits_for_a_thread_that_does_not_come(state: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", lambda thread: None)
    member = _threads._Member(1)
    member.words[_team.STATE] = state
    visits, starts = np.zeros(100, np.int64), np.zeros(101, np.int64)
    assert _threads._Team([member]).run(mark, 100, 1, (visits, starts))
    assert (visits == 1).all()
    # What was posted for it is taken back; one that sleeps was woken.
    assert member.words[_team.STATE] == (_team.RUNNING if state == _team.RUNNING else _team.IDLE)
    woken = 0
    while _threads._libc.sem_trywait(ctypes.c_void_p(int(member.words[_team.CHANNEL]))) == 0:
        woken += 1
    assert woken == (state == _team.ASLEEP)


@needs_compiler
def test_several_callers_at_once() -> None:
    """They share the threads, and everyone gets what is theirs."""
    _threads.use(3)
    wrong: list[int] = []

    def call(number: int) -> None:
        wrong.extend(number for _ in range(300) if not (visited(90 + number, 1)[1] == 1).all())

    callers = [threading.Thread(target=call, args=(number,)) for number in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # callers come between each other's steps
    try:
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(60)
    finally:
        sys.setswitchinterval(interval)
    assert not any(caller.is_alive() for caller in callers)
    assert wrong == []
    test_parts_run_side_by_side()  # no thread is left behind


def test_number_of_threads_follows_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_NUM_THREADS", "3")
    _threads.available_threads.cache_clear()
    assert _threads.available_threads() == 3
    monkeypatch.setenv("NUMBA_NUM_THREADS", str(10**9))
    _threads.available_threads.cache_clear()
    assert _threads.available_threads() == _threads.MOST
    monkeypatch.setenv("NUMBA_NUM_THREADS", "")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {2, 3, 5, 7, 11}, raising=False)
    _threads.available_threads.cache_clear()
    _threads._cores.cache_clear()
    assert _threads.available_threads() == 5
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    _threads.available_threads.cache_clear()
    _threads._cores.cache_clear()
    assert _threads.available_threads() == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_works() -> None:
    _threads.use(2)
    reals = np.linspace(-1, 1, 1 << 18)
    expected = pq.Uniform(8, 0.01).encode(reals)
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=lambda: sender.send(pq.Uniform(8, 0.01).encode(reals)))
    child.start()
    assert receiver.poll(60)
    assert np.array_equal(receiver.recv(), expected)
    child.join(60)
    assert child.exitcode == 0
