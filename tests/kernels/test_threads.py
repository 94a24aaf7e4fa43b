"""Work is cut into ranges that cover it once, whatever the number of threads."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ptqsim as pq
from ptqsim.kernels import _threads, _watch
from ptqsim.kernels.machine import COMPILED


@pytest.fixture(autouse=True)
def _restore() -> object:
    before = _threads.threads()
    yield
    _threads.use(before)


@given(st.integers(0, 200), st.integers(0, 50), st.integers(1, 9))
def test_ranges_cover_everything_once(size: int, grain: int, threads: int) -> None:
    _threads.use(threads)
    parts = _threads.run(lambda start, stop: (start, stop), size, grain)
    assert len(parts) <= threads
    covered = [index for start, stop in parts for index in range(start, stop)]  # type: ignore[misc,has-type]
    assert covered == list(range(size))
    if len(parts) > 1:
        assert all(stop - start >= grain for start, stop in parts)  # type: ignore[misc,has-type]


def test_errors_and_float_state_reach_the_threads() -> None:
    _threads.use(2)

    def overflowing(start: int, stop: int) -> object:
        return np.float32(1e30) * np.float32(1e30)

    with np.errstate(over="ignore"):
        assert _threads.run(overflowing, 10, 1) == [np.inf, np.inf]
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        _threads.run(overflowing, 10, 1)


def test_an_error_of_another_thread_is_raised_here() -> None:
    _threads.use(3)

    def last_fails(start: int, stop: int) -> int:
        if stop == 9:
            raise KeyError(threading.current_thread().name)
        return start

    with pytest.raises(KeyError, match="ptqsim-"):
        _threads.run(last_fails, 9, 1)
    assert _threads.run(lambda start, stop: start, 9, 1) == [0, 3, 6]  # the threads live on


def test_threads_keep_nothing_of_a_job() -> None:
    _threads.use(2)
    array = np.zeros(8)
    gone = weakref.ref(array)
    _threads.run(lambda start, stop, values: values[start:stop].sum(), 8, 1, array)
    del array
    deadline = time.monotonic() + 10
    while gone() is not None and time.monotonic() < deadline:
        time.sleep(0.001)  # the other thread may not yet be back at waiting
    assert gone() is None


@pytest.mark.parametrize("cores", [1, 2], ids=["asleep", "awake"])
def test_parts_that_take_long_and_pauses_between_them(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than anybody stays awake, on either side; with fewer cores than threads nobody does at all."""
    monkeypatch.setattr(_threads, "_cores", lambda: cores)
    _threads.use(2)

    def slow(start: int, stop: int, seconds: tuple[float, float]) -> int:
        time.sleep(seconds[start > 0])
        return stop

    for seconds in ((0.0, 0.002), (0.002, 0.0), (0.002, 0.002), (0.0, 0.0)):
        for pause in (0.0, 0.002):
            assert _threads.run(slow, 10, 1, seconds) == [5, 10]
            time.sleep(pause)


def test_several_callers_at_once() -> None:
    """They share the threads, and everyone gets what is theirs."""
    _threads.use(3)
    _threads.run(lambda start, stop: None, 9, 1)  # makes the threads

    def given() -> list[int]:
        return [int(worker._counts[_threads._GIVEN]) for worker in _threads._workers[:2]]

    before = given()
    found: dict[int, list[list[object]]] = {}

    def call(number: int) -> None:
        found[number] = [_threads.run(lambda start, stop, n: (n, start, stop), 9, 1, number) for _ in range(200)]

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
    for number in range(4):
        assert found[number] == [[(number, 0, 3), (number, 3, 6), (number, 6, 9)]] * 200
    # A job that went uncounted would leave its thread behind for good.
    assert given() == [number + 800 for number in before]


@pytest.mark.skipif(not COMPILED, reason="waits in compiled code")
def test_waiting_ends_when_it_is_told_or_after_some_time() -> None:
    words = np.zeros(2, np.int64)
    assert not _watch.until(words, 1, 1, 1000)
    other = threading.Thread(target=lambda: _watch.tell_and_wait(words, 1, 1, 0, 1, 10, 0))
    other.start()
    assert _watch.until(words, 1, 1, 1 << 40)  # for hours, if it were not told
    other.join()
    assert 0 < _watch.pauses(1.0) < _watch.pauses(1000.0)


def test_number_of_threads_follows_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_NUM_THREADS", "3")
    _threads.available_threads.cache_clear()
    assert _threads.available_threads() == 3
    monkeypatch.setenv("NUMBA_NUM_THREADS", "")
    _threads.available_threads.cache_clear()
    assert _threads.available_threads() >= 1


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
