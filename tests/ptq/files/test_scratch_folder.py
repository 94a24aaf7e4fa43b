"""Scratch folders end with their process, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ptqsim.ptq.files.scratch_folder import ScratchFolder

MAKE = """
import sys, time
from ptqsim.ptq.files.scratch_folder import ScratchFolder
made = ScratchFolder("ptqsim-test-")
print(made.path, flush=True)
time.sleep(600)
"""


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files, here and in processes that are started."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def aged(folder: Path) -> None:
    """Make a folder older than those that are just being made."""
    os.utime(folder, (1e9, 1e9))


@pytest.mark.skipif(sys.platform == "win32", reason="needs flock")
def test_the_next_process_removes_what_a_killed_one_left(parent: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", MAKE], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        left = Path(process.stdout.readline().strip())
        (left / "data").write_bytes(b"0" * 1000)
        aged(left)
        ScratchFolder("ptqsim-test-").cleanup()
        assert (left / "data").exists()  # its process lives
        process.send_signal(signal.SIGKILL)
    ScratchFolder("ptqsim-other-").cleanup()
    assert left.exists()
    ScratchFolder("ptqsim-test-").cleanup()
    assert list(parent.iterdir()) == []


def test_folders_that_are_being_made_or_have_no_lock_stay(parent: Path) -> None:
    young, other = parent / "ptqsim-test-young", parent / "ptqsim-test-other"
    for folder in (young, other):
        folder.mkdir()
    (young / ".lock").touch()
    aged(other)
    made = ScratchFolder("ptqsim-test-")
    made.cleanup()
    made.cleanup()
    assert sorted(parent.iterdir()) == [other, young]
