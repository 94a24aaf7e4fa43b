"""Damage to the files of compiled code: functions give the right results, and at most one warning says why."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import pytest
from numba import types
from numba.core import caching

from ptqsim.common import fingerprint
from ptqsim.kernels.runtime import cache as _cache
from ptqsim.kernels.runtime import jit as _jit
from ptqsim.kernels.runtime.machine import COMPILED

pytestmark = pytest.mark.skipif(not COMPILED, reason="nothing is compiled")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for machine code."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "code"))
    monkeypatch.setattr(_cache, "_warned", [])
    return tmp_path / "code"


def made() -> Any:
    """A function as a new process has it: not compiled yet."""

    def twice(x: Any) -> Any:
        return x + x

    return _jit.jit(twice)


def native() -> Any:
    """The same for a function that is called by its address."""

    def twice(x: int) -> int:
        return x + x

    return _jit.native(twice, types.int64(types.int64))


def hits(function: Any) -> int:
    """The number of its types that were found on disk."""
    return sum(function.stats.cache_hits.values())


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "emptied": lambda content: b"",
    "cut in the digest": lambda content: content[:20],
    "cut in the code": lambda content: content[: len(content) // 2],
    "without its last byte": lambda content: content[:-1],
    "longer": lambda content: content + b"\0",
    "one bit": lambda content: content[:-200] + bytes([content[-200] ^ 1]) + content[-199:],
    "something else": lambda content: b"<html>" * 1000,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file(damage: Callable[[bytes], bytes], folder: Path) -> None:
    assert made()(3) == 6
    (file,) = files(folder)
    assert file.suffix == ".nbc"
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    with pytest.warns(RuntimeWarning, match=f"machine code in {file.parent} cannot be read"):
        assert made()(3) == 6
    again = made()
    assert again(3) == 6  # and no warning, as the file was written anew
    assert hits(again) == 1
    assert files(folder) == [file]


def test_a_damaged_file_of_a_function_with_an_address(folder: Path) -> None:
    assert native().ctypes(3) == 6
    (file,) = files(folder)
    file.write_bytes(b"")
    with pytest.warns(RuntimeWarning, match="cannot be read"):
        assert native().ctypes(3) == 6
    again = native()
    assert (again.ctypes(3), again.cache_hits) == (6, 1)


def test_a_file_of_something_else_is_not_used(folder: Path) -> None:
    """As when two functions or types were kept by one name."""
    assert made()(3) == 6
    (file,) = files(folder)
    content = file.read_bytes()
    file.unlink()
    assert made()(1.5) == 3.0
    (other,) = files(folder)
    other.write_bytes(content)  # the code for integers, by the name of that for floats
    again = made()
    assert again(1.5) == 3.0
    assert hits(again) == 0


def test_a_full_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(path: Path, content: bytes) -> None:
        path.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", write)
    with pytest.warns(RuntimeWarning, match=rf"kept in {folder}.*No space left on device.*NUMBA_CACHE_DIR"):
        assert made()(3) == 6
    assert made()(3) == native().ctypes(3) == 6  # and no second warning
    assert files(folder) == []


def test_a_damaged_file_on_a_full_disk_is_one_warning(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading fails, and so does writing anew."""
    assert made()(3) == 6
    files(folder)[0].write_bytes(b"")

    def write(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", write)
    with pytest.warns(RuntimeWarning) as caught:
        assert made()(3) == made()(1.5) * 2 == native().ctypes(3) == 6
    assert len(caught) == 1
    assert "cannot be read" in str(caught[0].message)
    assert "\n" not in str(caught[0].message)


def test_no_folder_that_can_be_written_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(locator: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(caching._CacheLocator, "ensure_cache_path", refuse)
    functions = made(), made()
    with pytest.warns(RuntimeWarning, match=f"cannot be kept: neither .* nor {folder} can be writ"):
        assert functions[0](3) == 6
    assert functions[1](3) == native().ctypes(3) == 6  # and no second warning


def test_a_folder_that_becomes_read_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that is there is read; code that is not is compiled."""
    assert made()(3) == 6
    function = made()

    def refuse(path: Path, content: bytes) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    assert function(3) == 6
    assert hits(function) == 1
    with pytest.warns(RuntimeWarning, match="Read-only file system"):
        assert function(1.5) == 3.0


def test_a_folder_that_vanishes(folder: Path) -> None:
    function, other = made(), made()
    shutil.rmtree(folder)
    assert function(3) == 6
    assert len(files(folder)) == 1
    shutil.rmtree(folder)
    folder.write_bytes(b"a file in its place")
    with pytest.warns(RuntimeWarning, match="Not a directory"):
        assert other(3) == 6


def test_types_are_kept_beside_each_other(folder: Path) -> None:
    """Whoever compiled them: two processes at once know nothing of each other's."""
    one, other = made(), made()
    assert (one(3), other(1.5)) == (6, 3.0)
    later = made()
    assert (later(3), later(1.5), hits(later)) == (6, 3.0, 2)


_ENCODES = """
import sys
import numpy as np
import ptqsim as pq
print(pq.Uniform(8, 0.5).encode(np.arange(-2, 3).astype(sys.argv[1])))
"""


def test_several_processes_at_once(folder: Path) -> None:
    """In an empty folder, and again when all of it is damaged."""

    def run_all() -> list[tuple[int | None, str, int]]:
        running = [
            subprocess.Popen(
                [sys.executable, "-c", _ENCODES, kind], env=os.environ | {"NUMBA_CACHE_DIR": str(folder)},
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            ) for kind in ("float32", "float64")
        ]  # fmt: skip
        ended = [process.communicate() for process in running]
        return [
            (process.returncode, out, err.count("RuntimeWarning"))
            for process, (out, err) in zip(running, ended, strict=True)
        ]

    right = "[252 254   0   2   4]\n"
    assert run_all() == [(0, right, 0)] * 2
    kept = files(folder)
    for file in kept:
        file.write_bytes(b"")
    assert {(status, out, warned <= 1) for status, out, warned in run_all()} == {(0, right, True)}
    assert files(folder) == kept
    assert all(file.stat().st_size for file in kept)


def test_every_module_counts_wherever_it_lies(tmp_path: Path) -> None:
    room = tmp_path / "package" / "room" / "corner"
    room.mkdir(parents=True)
    (tmp_path / "package" / "__init__.py").write_text("a = 1\n")
    seen = [fingerprint.folder(tmp_path / "package", "*.py")]
    for change in (
        lambda: (room / "deep.py").write_text("b = 1\n"),
        lambda: (room / "deep.py").write_text("b = 2\n"),
        lambda: (room / "deep.py").rename(room.parent / "deep.py"),
        lambda: (room.parent / "deep.py").rename(room.parent / "other.py"),
    ):
        change()
        seen.append(fingerprint.folder(tmp_path / "package", "*.py"))
    assert len(set(seen)) == 5
    (room / "notes.txt").write_text("no code")
    assert fingerprint.folder(tmp_path / "package", "*.py") == seen[-1]


def test_the_fingerprint_is_that_of_the_whole_package() -> None:
    package = next(parent for parent in Path(_jit.__file__).parents if parent.name == "kernels")
    assert fingerprint.folder(package, "*.py").startswith(_jit._SOURCES)
    assert len(_jit._SOURCES) == 12
