"""Points: kept as they finish, run in processes, the same results on any number of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar

import pytest

from analysis.framework.frame import Frame
from analysis.framework.points import WorkPoint, run_side_by_side
from analysis.framework.store import ArtifactStore
from analysis.framework.workload import Workload
from analysis.methods.entries import Entry
from analysis.methods.point import MethodPoint
from ptqsim import ptq

SMALL = Entry("small", "Small", "base_ptq", {"n": 4})


@cache
def square() -> type[WorkPoint]:
    @dataclass(frozen=True)
    class Square(WorkPoint):
        kind: ClassVar[str] = "square"
        of: int

        def key(self, workload):
            return {"of": self.of}

        def compute(self, workload):
            return {"point": Frame.of_rows([{"square": self.of**2}])}

    return Square


def test_a_point_is_computed_once(tmp_path, monkeypatch):
    work = Workload(store=ArtifactStore(tmp_path))
    assert square()(3).row(work) == {"square": 9}
    monkeypatch.setattr(square(), "compute", None)
    assert square()(3).row(work) == {"square": 9}


def test_the_result_of_a_process_is_that_of_this_one(tmp_path, monkeypatch):
    """With the bundled model, as a small one of a fixture is not known in another process."""
    work = Workload(store=ArtifactStore(tmp_path / "many"), images=2)
    here = replace(work, store=ArtifactStore(tmp_path / "one"))
    points = [MethodPoint(None, None, 4), MethodPoint(SMALL, 4, 4), MethodPoint(SMALL, 4, 4)]
    run_side_by_side([(work, point) for point in points], 1, work)
    with here:
        expected = [point.data(here) for point in points]
    monkeypatch.setattr(MethodPoint, "compute", None)
    assert [point.data(work) for point in points] == expected


@pytest.mark.parametrize(("entry", "bits"), [(None, None), (SMALL, 5)])
def test_a_method_point(workload, entry, bits):
    row = MethodPoint(entry, bits, 8).row(workload)
    weights = sum(p.numel() for n, p in workload.network.named_parameters() if p.ndim > 1 and "pos_embed" not in n)
    weights -= workload.network.cls_token.numel()
    assert row["weights_mb"] == pytest.approx(weights * (bits or 32) / 8e6)
    model = workload.network
    if entry is not None:
        model = ptq.calibrate(model, workload.calibration_images, method="base_ptq", w_bits=5, a_bits=5, n=4)
    found = ptq.evaluate(model, workload.validation, limit=8)
    assert row["top1"] == found.top1
    assert row["cross_entropy"] == found.cross_entropy


def side_by_side(folder):
    return [
        sys.executable, "-m", "ptqsim.cli", "figures", "simulator.power_of_two", "-O", "images=8", "-O",
        "widths=3,4,5,6", "--images", "2", "--jobs", "2", "--out", str(folder), "--json",
    ]  # fmt: skip


def started(command, kept):
    """A process in a group of its own, when it has kept two points."""
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while len(list(kept.glob("operand_point-*"))) < 2:
        assert running.poll() is None
        time.sleep(0.05)
    return running


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_goes_on_when_the_first_was_killed(tmp_path, number):
    running = started(side_by_side(tmp_path), tmp_path / ".cache")
    os.kill(running.pid, number)
    try:
        running.communicate(timeout=60)  # ends when none of them holds the other end
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
        pytest.fail("processes went on for a minute")


@pytest.mark.slow
def test_ctrl_c_ends_all_processes_and_the_same_command_resumes(tmp_path):
    command = side_by_side(tmp_path)
    kept = tmp_path / ".cache"
    running = started(command, kept)
    os.killpg(running.pid, signal.SIGINT)
    out, errors = running.communicate(timeout=300)
    assert running.returncode == 130
    assert out == ""
    assert [line for line in errors.splitlines() if "resumes" in line]
    assert "Traceback" not in errors
    before = {path.name: path.stat().st_mtime_ns for path in kept.glob("operand_point-*")}
    assert 2 <= len(before) < 12
    subprocess.run(command, check=True, capture_output=True)
    after = {path.name: path.stat().st_mtime_ns for path in kept.glob("operand_point-*")}
    assert len(after) == 12
    assert before.items() <= after.items()
