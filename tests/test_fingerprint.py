"""Fingerprints: every change of content changes them, and nothing else does."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from ptqsim.common import fingerprint, installed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / "b").mkdir()
    (root / "a" / "1.bin").write_bytes(b"one.")
    (root / "b" / "1.bin").write_bytes(b"two.")
    return root


def test_a_file_is_known_by_its_bytes(tmp_path: Path) -> None:
    content = os.urandom(3_000_001)  # several pieces
    (tmp_path / "x").write_bytes(content)
    assert fingerprint.file(tmp_path / "x") == hashlib.sha256(content).hexdigest()


def test_files_exchanged_with_all_their_times_are_noticed(folder: Path) -> None:
    """Equal names, sizes and times say nothing of what is in them."""
    names = ["a/1.bin", "b/1.bin"]
    for name in names:
        os.utime(folder / name, ns=(10**18, 10**18))
    before = fingerprint.files(folder, names), fingerprint.folder(folder)
    one, two = (folder / name for name in names)
    one.rename(folder / "aside")
    two.rename(one)
    (folder / "aside").rename(two)
    assert [path.stat().st_size for path in (one, two)] == [4, 4]
    assert [path.stat().st_mtime_ns for path in (one, two)] == [10**18, 10**18]
    changed = fingerprint.files(folder, names), fingerprint.folder(folder)
    assert changed[0] != before[0]
    assert changed[1] != before[1]


def test_a_change_in_place_is_noticed_whatever_the_times(folder: Path) -> None:
    before = fingerprint.folder(folder)
    times = (folder / "a" / "1.bin").stat()
    with (folder / "a" / "1.bin").open("r+b") as file:
        file.write(b"0")
    os.utime(folder / "a" / "1.bin", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert fingerprint.folder(folder) != before


def test_a_link_that_leads_elsewhere_is_noticed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abcd")
    (tmp_path / "y").write_bytes(b"efgh")
    (folder / "link").symlink_to(tmp_path / "x")
    before = fingerprint.folder(folder)
    (folder / "link").unlink()
    (folder / "link").symlink_to(tmp_path / "y")
    assert fingerprint.folder(folder) != before


def test_names_and_order_count_and_the_place_does_not(folder: Path, tmp_path: Path) -> None:
    before = fingerprint.folder(folder)
    folder.rename(tmp_path / "moved")
    assert fingerprint.folder(tmp_path / "moved") == before
    names = ["a/1.bin", "b/1.bin"]
    assert fingerprint.files(tmp_path / "moved", names) != fingerprint.files(tmp_path / "moved", names[::-1])
    (tmp_path / "moved" / "a" / "1.bin").rename(tmp_path / "moved" / "a" / "2.bin")
    assert fingerprint.folder(tmp_path / "moved") != before


def test_a_folder_that_is_gone_is_no_folder_that_never_changes(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="has no file"):
        fingerprint.folder(tmp_path)
    with pytest.raises(FileNotFoundError):
        fingerprint.sources(tmp_path, ["moved_away"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="has no file"):
        fingerprint.sources(tmp_path, ["empty"])


def test_arrays_are_known_by_name_type_shape_and_bytes() -> None:
    x = np.arange(6, dtype=np.int32)
    one = fingerprint.arrays([("x", x), ("y", x)])
    assert one == fingerprint.arrays([("y", x.copy()), ("x", x)])
    assert one == fingerprint.arrays([("x", np.arange(12, dtype=np.int32)[:6]), ("y", x)])
    others = [[("x", x), ("z", x)], [("x", x), ("y", x.reshape(2, 3))], [("x", x), ("y", x.view(np.uint32))],
              [("x", x), ("y", x[::-1])], [("x", x)]]  # fmt: skip
    assert len({one, *map(fingerprint.arrays, others)}) == 6
    assert fingerprint.arrays([("x", x)]) == hashlib.sha256(b"x:<i4:(6,);" + x.tobytes()).hexdigest()
    assert fingerprint.data(x[::-1]) == hashlib.sha256(x[::-1].tobytes()).hexdigest()
    assert fingerprint.data(np.float32(1)) == hashlib.sha256(b"\0\0\x80\x3f").hexdigest()


def test_values_are_known_whatever_the_order_of_their_keys() -> None:
    assert fingerprint.value({"a": 1, "b": [2, None]}) == fingerprint.value({"b": [2, None], "a": 1})
    different = [{"a": 1}, {"a": 1.0}, {"a": "1"}, {"a": True}, {"a": [1]}, {"a": None}, {"A": 1}]
    assert len({fingerprint.value(value) for value in different}) == len(different)
    with pytest.raises(TypeError, match="key 1; legal are strings"):
        fingerprint.value({"a": [{1: 2}]})


def test_sources_are_known_by_their_syntax(tmp_path: Path) -> None:
    (tmp_path / "part" / "inner").mkdir(parents=True)
    module = tmp_path / "part" / "inner" / "x.py"
    module.write_text('"""A."""\n\ndef f():\n    return 1\n')
    before = fingerprint.sources(tmp_path, ["part"])
    module.write_text('"""B."""\n\n\ndef f():\n    # why\n    return 1\n')
    assert fingerprint.sources(tmp_path, ["part"]) == before
    module.write_text('"""B."""\n\ndef f():\n    return 1.0\n')
    changed = fingerprint.sources(tmp_path, ["part"])
    (tmp_path / "part" / "new.py").write_text("")
    assert len({before, changed, fingerprint.sources(tmp_path, ["part"])}) == 3


def test_versions_of_packages_count(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint.packages()
    assert fingerprint.packages() == before
    monkeypatch.setattr(installed, "version", lambda name: "0.0" if name == "scipy" else "1.0")
    other = fingerprint.packages()
    monkeypatch.setattr(installed, "version", lambda name: "1.0")
    assert len({before, other, fingerprint.packages(), fingerprint.packages(["not-installed"])}) == 4


@pytest.mark.parametrize("part", ["formats", "datapath", "gemm", "kernels", "ptq", "errors.py", "common"])
def test_the_arithmetic_is_all_of_the_package_that_is_not_named_as_something_else(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: list[str] = []

    def sources(root: Path, names: list[str]) -> str:
        parts.extend(names)
        return ""

    monkeypatch.setattr(fingerprint, "sources", sources)
    fingerprint.arithmetic.__wrapped__()
    assert part in parts
    assert not {"cli", "rtl", "sweep", "golden"} & set(parts)


def test_the_arithmetic_is_the_same_in_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has `analysis` inside the package."""
    (tmp_path / "formats").mkdir()
    (tmp_path / "formats" / "twin.py").write_text("a = 1\n")
    monkeypatch.setattr(fingerprint, "__file__", str(tmp_path / "common" / "fingerprint.py"))
    before = fingerprint.arithmetic.__wrapped__()
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "figure.py").write_text("b = 1\n")
    assert fingerprint.arithmetic.__wrapped__() == before
    (tmp_path / "gemm.py").write_text("c = 1\n")
    assert fingerprint.arithmetic.__wrapped__() != before
