"""Failures of real clusters: workers and clients that are killed, disks that are full.

A real scheduler, two real workers and a client, each a process of its own, talk over loopback; their points cost
nothing but a short sleep.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.studies.study import plan_of
from benchmarks.studies.study_work import LOG, SECONDS
from ptqsim.sweep.execution.pool import DaskPool
from ptqsim.sweep.execution.run import run
from ptqsim.sweep.plan.planning import Plan
from ptqsim.sweep.results.store import ResultStore, StoreFullError
from tests.sweep.cases import SMALL, assert_each_once, stored

if TYPE_CHECKING:
    from distributed import Client

DASK = Path(sys.executable).with_name("dask")
ROOT = Path(__file__).parents[2]
TEXT = SMALL.replace("{from: 14, to: 20}", "{from: 8, to: 27}")  # 164 points
PATIENCE = 300.0  # a machine may be busy; a wait that is over ends at once


class Processes:
    """A scheduler and workers that a test may kill."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self.log = folder / "begun.log"
        self.scheduler_output = folder / "scheduler.txt"
        self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0",
                    output=self.scheduler_output)  # fmt: skip
        self.address = self._wait_for_address()

    def worker(self) -> subprocess.Popen[bytes]:
        """One more worker, without a nanny that would start it again."""
        return self._start("worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard",
                           "--local-directory", str(self._folder / "dask"))  # fmt: skip

    def client(self, text: Path) -> subprocess.Popen[bytes]:
        """A client that runs the study of a file."""
        return self._popen([sys.executable, str(ROOT / "tests" / "sweep" / "client.py"), str(text), str(self._folder),
                            self.address], subprocess.DEVNULL)  # fmt: skip

    def begun(self) -> list[str]:
        """Keys of the points that were begun, in their order."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line.split()[1] for line in lines if line.startswith("point")]

    def _start(self, *arguments: str, output: Path | None = None) -> subprocess.Popen[bytes]:
        target = subprocess.DEVNULL if output is None else self._stack.enter_context(output.open("wb"))
        return self._popen([str(DASK), *arguments], target)

    def _popen(self, command: list[str], output: object) -> subprocess.Popen[bytes]:
        environment = os.environ | {SECONDS: "0.03", LOG: str(self.log), "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)  # type: ignore[call-overload]
        self._stack.callback(_end, process)
        return process

    def _wait_for_address(self) -> str:
        wait_until(lambda: re.search(r"Scheduler at:\s+\S+", self.scheduler_output.read_text()) is not None)
        found = re.search(r"tcp://127.0.0.1:\d+", self.scheduler_output.read_text())
        assert found is not None
        return found[0]


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with ExitStack() as stack:
        yield Processes(tmp_path, stack)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(TEXT)
    return path


def plan_in(folder: Path) -> Plan:
    return plan_of(TEXT, folder / "cache")


def test_a_killed_worker_loses_nothing(processes: Processes, text: Path, tmp_path: Path) -> None:
    victim, _ = processes.worker(), processes.worker()
    client = processes.client(text)
    wait_until(lambda: len(processes.begun()) >= 40)
    victim.send_signal(signal.SIGKILL)
    assert client.wait(PATIENCE) == 0
    plan = plan_in(tmp_path)
    begun = processes.begun()
    assert len(begun) > len(plan.points)  # what the victim had in hand was done again
    assert_each_once(tmp_path / "s.sqlite", plan, plan.points)


@pytest.mark.slow
def test_all_workers_killed_and_new_ones_go_on(processes: Processes, text: Path, tmp_path: Path) -> None:
    first = [processes.worker(), processes.worker()]
    client = processes.client(text)
    wait_until(lambda: len(processes.begun()) >= 40)
    for victim in first:
        victim.send_signal(signal.SIGKILL)
    processes.worker()
    assert client.wait(PATIENCE) == 0
    plan = plan_in(tmp_path)
    assert_each_once(tmp_path / "s.sqlite", plan, plan.points)


def test_a_killed_client_goes_on_where_it_was(processes: Processes, text: Path, tmp_path: Path) -> None:
    processes.worker()
    processes.worker()
    client = processes.client(text)
    # the second write to the store: some results are there, and others are on their way
    wait_until(lambda: (tmp_path / "s.sqlite").exists() and len(processes.begun()) >= 60)
    client.send_signal(signal.SIGKILL)
    client.wait()
    kept = stored(tmp_path / "s.sqlite")
    plan = plan_in(tmp_path)
    assert 0 < len(kept) < len(plan.points)
    before = len(processes.begun())
    assert processes.client(text).wait(PATIENCE) == 0
    assert_each_once(tmp_path / "s.sqlite", plan, plan.points)
    # what was kept is not done again; what was begun for the killed client may still have been counted after it
    again = [key for key in processes.begun()[before:] if key in {key for key, _, _ in kept}]
    assert len(again) <= 4


def _run(plan: Plan, path: Path, client: Client) -> None:
    with ResultStore(path) as store:
        run(plan, store, DaskPool(client, lambda task, name: b""), TEXT, "command")


@contextmanager
def small_disk(path: Path, kib: int) -> Iterator[Path]:
    """A disk of its own that is soon full."""
    path.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(path)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode != 0:
        pytest.skip("a tmpfs can't be mounted here (it needs root, or a user namespace)")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


def test_a_full_disk_stops_the_study_and_loses_nothing(tmp_path: Path, client: Client) -> None:
    plan = plan_in(tmp_path)
    with small_disk(tmp_path / "disk", 128) as disk:
        filler = disk / "filler"
        filler.write_bytes(b"x" * 52 * 1024)
        with pytest.raises(StoreFullError, match=r"is full .*the same command goes on"):
            _run(plan, disk / "s.sqlite", client)
        assert len(stored(disk / "s.sqlite")) < len(plan.points)
        subprocess.run(["mount", "-o", "remount,size=4096k", str(disk)], check=True)
        _run(plan, disk / "s.sqlite", client)
        assert_each_once(disk / "s.sqlite", plan, plan.points)


def test_a_file_size_limit_stops_the_study_and_loses_nothing(tmp_path: Path, client: Client) -> None:
    """The same where nothing can be mounted: the system refuses to let the file of results grow."""
    plan, path = plan_in(tmp_path), tmp_path / "s.sqlite"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with ResultStore(path) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (56 * 1024, hard))
        try:
            with pytest.raises(StoreFullError, match="is full"):
                run(plan, store, DaskPool(client, lambda task, name: b""), TEXT, "command")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(stored(path)) < len(plan.points)
    _run(plan, path, client)
    assert_each_once(path, plan, plan.points)
