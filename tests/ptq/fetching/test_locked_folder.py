"""A folder of the cache is there whole or not at all, whoever makes it at the same time."""

from __future__ import annotations

import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from ptqsim.ptq.fetching import locked_folder as module
from ptqsim.ptq.fetching.locked_folder import locked, replacing_folder

HOLD = """
import sys
from pathlib import Path
from ptqsim.ptq.fetching.locked_folder import locked
with locked(Path(sys.argv[1]), print):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_it_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "set"
    for content in ("old", "new"):
        with replacing_folder(target, 0) as folder:
            (folder / "file").write_text(content)
        assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert (target / "file").read_text() == "new"


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interruption_leaves_the_old_one(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "set"
    target.mkdir()

    def make() -> None:
        with replacing_folder(target, 0) as folder:
            (folder / "half").write_text("made")
            raise error

    with pytest.raises(error):
        make()
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert list(target.iterdir()) == []


def test_what_a_killed_process_has_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".set.12345678.partial").mkdir()
    (tmp_path / ".other.12345678.partial").mkdir()
    with locked(tmp_path / "set", lambda line: None):
        assert {path.name for path in tmp_path.iterdir()} == {".set.lock", ".other.12345678.partial"}


def test_a_full_disk_is_said_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: usage(10**9, 10**9 - 10**6, 10**6))
    with (
        pytest.raises(OSError, match="No space left on device, 250 MB are needed, 1 MB are free"),
        replacing_folder(tmp_path / "set", 250 * 10**6),
    ):
        pytest.fail("there is no room")
    assert list(tmp_path.iterdir()) == []


def test_the_second_process_says_so_and_waits(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "set")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        said = []

        def say(line: str) -> None:
            said.append(line)
            first.communicate("\n")  # lets go of it

        with locked(tmp_path / "set", say):
            assert first.returncode == 0
    assert said == [f"another process is making {tmp_path / 'set'}: waiting for it"]
