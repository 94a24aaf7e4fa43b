"""The place of every output is checked before the work."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ptqsim.cli.framework import app, places
from ptqsim.common import files

for _package in ("torch", "matplotlib", "ruamel.yaml", "pydantic", "plotly"):
    pytest.importorskip(_package)  # every command is tried

FILE = [
    ["train", "--model", "vit_digits", "-o"],
    ["train", "--model", "vit_digits", "-o", "weights.safetensors", "--state"],
    ["calibrate", "-o"],
    ["export", "m.safetensors", "--onnx"],
    ["export", "m.safetensors", "-o"],
    ["sweep", "study.yaml", "--store"],
    ["sweep", "study.yaml", "--csv"],
    ["sweep", "study.yaml", "--parquet"],
    ["report", "results.sqlite", "-o"],
    ["bench", "--out"],
    ["models", "--check", "-o"],
    ["models", "--check", "--page"],
]
FOLDER = [
    ["calibrate", "-o", "weights.safetensors", "--state"],
    ["vectors", "--depth", "4", "-o"],
    ["sweep", "study.yaml", "--cache"],
    ["rtl", "generate", "-o"],
    ["rtl", "simulate", "-o"],
    ["rtl", "synthesize", "-o"],
    ["figures", "docs.steps", "-o"],
    ["tables", "simulator.storage", "-o"],
    ["demo", "-o"],
]
STUDY = """
name: one
axes: {model: [vit_digits], method: [percentile], w_bits: [8], a_bits: [8], mode: [fake_quant]}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one file of each sort; what a command reads may be wrong, as it never comes to that."""
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    (tmp_path / "file").write_bytes(b"kept")
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refused(here: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that is refused at once, and return its line."""

    def run(*arguments: str) -> str:
        before = sorted(here.rglob("*"))
        assert app.main(arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert sorted(here.rglob("*")) == before
        assert (here / "file").read_bytes() == b"kept"
        return line

    return run


@pytest.mark.parametrize("command", FILE, ids=" ".join)
def test_no_file_can_be_there(command: list[str], refused: Callable[..., str]) -> None:
    assert "folder is a folder; legal is the name of a file" in refused(*command, "folder")
    assert "/dev/null is a device" in refused(*command, "/dev/null")
    assert "which is a file; legal is a place in a folder" in refused(*command, "file/below/m.x")
    assert "the path is empty" in refused(*command, "")


@pytest.mark.parametrize("command", FOLDER, ids=" ".join)
def test_no_folder_can_be_there(command: list[str], refused: Callable[..., str]) -> None:
    assert "file is a file; legal is the name of a folder" in refused(*command, "file")
    assert "which is a file; legal is a place in a folder" in refused(*command, "file/below")
    assert "the path is empty" in refused(*command, "")


@pytest.mark.parametrize(
    "command",
    [
        ["calibrate", "--checkpoint", "file", "-o", "file"],
        ["calibrate", "--checkpoint", "file", "-o", "folder/../file"],
        ["export", "file", "--onnx", "file"],
        ["sweep", "study.yaml", "--store", "study.yaml"],
        ["sweep", "study.yaml", "--csv", "study.yaml"],
        ["sweep", "study.yaml", "--csv", "points", "--parquet", "points"],
        ["sweep", "study.yaml", "--csv", "study.sqlite"],
        ["report", "file", "-o", "file"],
        ["train", "-o", "x", "--state", "x"],
    ],
    ids=" ".join,
)
def test_no_input_is_replaced(command: list[str], refused: Callable[..., str]) -> None:
    assert "is also named as another file of this command" in refused(*command)


def test_a_folder_that_may_not_be_written_to(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for anybody but root, and on a medium that is read-only."""
    monkeypatch.setattr(os, "access", lambda path, mode: not (mode & os.W_OK and Path(path).name == "folder"))
    with pytest.raises(ValueError, match="folder is read-only for you"):
        places.check_file("-o", Path("folder/new/m.safetensors"))
    with pytest.raises(ValueError, match="folder is read-only for you"):
        places.check_folder("-o", Path("folder"))


def test_what_is_legal(here: Path) -> None:
    for place in ("file", "new", "new/folders/m.safetensors", "folder/new"):
        places.check_file("-o", Path(place), [Path("study.yaml"), None])
    for place in ("folder", ".", "new", "new/folders"):
        places.check_folder("-o", Path(place))
    places.check_file("-o", None)
    places.check_folder("-o", None)


def test_a_full_disk_names_the_file(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    assert app.main(["vectors", "--depth", "2", "--rows", "1", "--cols", "1", "-o", "v"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "ptqsim vectors: No space left on device: v/a.hex"
    assert app.main(["rtl", "generate", "--depth", "4", "-o", "g"]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("ptqsim rtl generate: No space left on device: g/")
    assert [*(here / "v").iterdir(), *(here / "g").iterdir()] == []
