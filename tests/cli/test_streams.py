"""Output to any stream: of any encoding, closed, or that nobody reads; and paths that are no UTF-8."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ptqsim.cli import __main__

ODD = os.fsdecode(b"caf\xe9")  # Latin-1, and no UTF-8
COMMAND = [sys.executable, "-m", "ptqsim"]
SMALL = ["vectors", "--depth", "2", "--rows", "1", "--cols", "1", "-o"]


class Written:
    """Stdout and stderr of one call in a given encoding, as bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, encoding: str, *arguments: str) -> None:
        found = {name: io.BytesIO() for name in ("stdout", "stderr")}
        for name, raw in found.items():
            monkeypatch.setattr(sys, name, io.TextIOWrapper(raw, encoding=encoding, write_through=True))
        monkeypatch.setattr(sys, "argv", ["ptqsim", *arguments])
        self.status = __main__.main()
        self.out, self.errors = (raw.getvalue() for raw in found.values())


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_a_file_name_is_printed_in_its_own_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    run = Written(monkeypatch, encoding, *SMALL, str(tmp_path / ODD))
    assert run.status == 0
    assert (tmp_path / ODD / "manifest.json").is_file()
    assert b"golden vectors in" in run.out
    assert b"caf\xe9" in run.out


def test_a_missing_file_is_named_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Written(monkeypatch, "utf-8", "vectors", "--check", str(tmp_path / ODD))
    assert run.status == 2
    assert b"caf\xe9 holds no manifest.json" in run.errors
    assert run.errors.count(b"\n") == 1


def test_json_escapes_such_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Written(monkeypatch, "ascii", *SMALL, str(tmp_path / ODD), "--json")
    assert json.loads(run.out)["output"] == str(tmp_path / ODD)


def test_characters_that_an_encoding_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Written(
        monkeypatch, "ascii", "bounds", "--depth", "4", "--a-format", "tw\N{LATIN SMALL LETTER I WITH DIAERESIS}n"
    )
    assert run.status == 2
    assert b"unknown --a-format 'tw?n'" in run.errors


def test_nobody_reads() -> None:
    process = subprocess.Popen([*COMMAND, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() in (0, 1)


def test_closed_streams_are_no_files(tmp_path: Path) -> None:
    """With descriptor 1 closed, the first file opened would get its number, and what is printed."""
    shell = f'"$@" >&- 2>&- </dev/null; echo $? > {tmp_path / "status"}'
    subprocess.run(["bash", "-c", shell, "bash", *COMMAND, *SMALL, str(tmp_path / "v"), "--json"], check=True)
    assert (tmp_path / "status").read_text() == "0\n"
    assert b'"outputs"' not in b"".join(
        path.read_bytes() for path in (tmp_path / "v").iterdir() if path.suffix != ".json"
    )
    subprocess.run([*COMMAND, "vectors", "--check", str(tmp_path / "v")], check=True, capture_output=True)
