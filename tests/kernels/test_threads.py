"""Work is cut into ranges that cover it once, whatever the number of threads."""

from __future__ import annotations

import multiprocessing
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ptqsim as pq
from ptqsim.kernels import _threads


@pytest.fixture(autouse=True)
def _restore() -> object:
    before = _threads.count()
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
