"""Files are written whole or not at all, and every failure names the file."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ptqsim.common import files

ROOT = Path(__file__).parents[1]
# RLIMIT_FSIZE: the kernel itself refuses to write on, as it does when a disk is full
LIMITED = """
import resource, sys
from ptqsim.common import files
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
for number, write in enumerate((files.write, files.write_scratch)):
    try:
        write(sys.argv[1 + number], b"x" * 2000)
    except OSError as error:
        print(error.errno, error.filename)
"""


def test_a_disk_that_takes_no_more(tmp_path: Path) -> None:
    paths = [tmp_path / "whole.bin", tmp_path / "scratch.bin"]
    paths[0].write_bytes(b"before")
    done = subprocess.run([sys.executable, "-c", LIMITED, *map(str, paths)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{errno.EFBIG} {path}" for path in paths]
    assert paths[0].read_bytes() == b"before"
    assert {path.name for path in tmp_path.iterdir()} == {"whole.bin", "scratch.bin"}


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), KeyboardInterrupt()])
def test_a_failure_or_interruption_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fails(descriptor: int) -> None:
        raise error

    path = tmp_path / "a.txt"
    files.write(path, "before")
    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(type(error)) as caught:
        files.write(path, "after")
    if isinstance(caught.value, OSError):
        assert str(caught.value) == f"[Errno {errno.ENOSPC}] No space left on device: '{path}'"
    assert path.read_text(encoding="utf-8") == "before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_the_mode_is_that_of_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        files.write(tmp_path / "a.bin", b"content")
    finally:
        os.umask(before)
    assert (tmp_path / "a.bin").stat().st_mode & 0o777 == mode


def test_folders_are_made_and_links_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "folder" / "target.txt", tmp_path / "link.txt"
    files.write(target, "one")
    link.symlink_to(target)
    files.write(link, "two")
    assert link.is_symlink()
    assert target.read_text(encoding="utf-8") == "two"


def test_text_is_utf_8_whatever_it_holds(tmp_path: Path) -> None:
    files.write(tmp_path / "a.txt", "W \N{MULTIPLICATION SIGN} A of m\udcff.safetensors")
    assert (tmp_path / "a.txt").read_bytes() == b"W \xc3\x97 A of m\\udcff.safetensors"


def test_the_longest_name(tmp_path: Path) -> None:
    path = tmp_path / ("\N{LATIN SMALL LETTER A WITH DIAERESIS}" * 127)  # 254 of 255 bytes
    files.write(path, b"content")
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(OSError, match=re.escape(os.strerror(errno.ENAMETOOLONG))):
        files.write(tmp_path / ("a" * 256), b"content")


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ("/dev/null", ValueError),
        ("{folder}", IsADirectoryError),
        ("{file}/below", NotADirectoryError),
        ("/proc/no/such", FileNotFoundError),
    ],
)
def test_places_that_take_no_file(tmp_path: Path, place: str, error: type[Exception]) -> None:
    folder, file = tmp_path / "folder", tmp_path / "file"
    folder.mkdir()
    file.write_bytes(b"")
    with pytest.raises(error):
        files.write(place.format(folder=folder, file=file), b"content")
    assert sorted(tmp_path.iterdir()) == [file, folder]
    assert list(folder.iterdir()) == []


def test_what_a_killed_process_leaves_is_known(tmp_path: Path) -> None:
    with files.replacing(tmp_path / "m.safetensors"):
        (left,) = tmp_path.iterdir()
    found = files.PARTIAL.fullmatch(left.name)
    assert found is not None
    assert found[1] == "m.safetensors"


def test_no_other_module_writes_files() -> None:
    """Streams and locks aside, which are never read back, and the compiler's cache, which checks what it reads."""
    writer = re.compile(
        r"\.write_(?:text|bytes)\(|(?<!\$f)open\([^)\n]*\"[wax]b?\"|\b(?:save_file|mkstemp|NamedTemporaryFile)\(|os\.replace\("
    )
    allowed = {
        "ptqsim/common/files.py",
        "ptqsim/cli/framework/streams.py",
        "ptqsim/kernels/runtime/cache.py",
        "ptqsim/ptq/fetching/locked_folder.py",
        "ptqsim/ptq/zoo/conversion/reader.py",
        "ptqsim/sweep/results/store.py",
        "analysis/framework/store.py",
    }
    allowed |= {"benchmarks/studies/study_work.py"}  # a log of workers that append to it
    found = {
        str(path.relative_to(ROOT))
        for folder in ("ptqsim", "analysis", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        if writer.search(path.read_text(encoding="utf-8"))
    }
    assert found <= allowed
