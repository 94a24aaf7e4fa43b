"""``ptqsim vectors`` on plain numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptqsim.cli.framework import app

PLAIN = ["--bits", "12", "--overflow", "saturate", "--shift", "3", "--a-bits", "6", "--b-bits", "5", "--depth", "20"]


def run(capsys: pytest.CaptureFixture[str], *arguments: object, status: int = 0) -> dict[str, Any]:
    assert app.main(["vectors", *map(str, arguments), "--json"]) == status
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def test_write_and_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--rows", 3, "--cols", 4, "--seed", 5, "--codes", "corners", "--trace", "2,1", "--order", "split:8:9"]
    result = run(capsys, *PLAIN, *sizes, "-o", tmp_path / "one")
    assert result["outputs"] == 12
    assert result["trace"] == {"element": [2, 1], "steps": 20 + 3}  # three tiles of 8, 8 and 4
    manifest = json.loads((tmp_path / "one" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["source"] == {"kind": "stimulus", "pattern": "corners", "seed": 5}
    assert manifest["accumulator"]["order"] == {"kind": "split", "tile": 8, "inner_bits": 9}
    assert (manifest["a"]["shape"], manifest["b"]["shape"]) == ([3, 20], [20, 4])
    run(capsys, *PLAIN, *sizes, "-o", tmp_path / "two")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    checked = run(capsys, "--check", tmp_path / "one")
    assert (checked["ok"], checked["mismatches"], checked["outputs"]) == (True, [], 12)


def test_a_mismatch_is_status_1_with_file_line_and_value(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, *PLAIN, "-o", tmp_path)
    lines = (tmp_path / "acc.hex").read_text(encoding="ascii").split("\n")
    right, lines[2] = lines[2], "123"
    assert right != "123"
    (tmp_path / "acc.hex").write_text("\n".join(lines), encoding="ascii")
    checked = run(capsys, "--check", tmp_path, status=1)
    assert not checked["ok"]
    value = next(one for one in checked["mismatches"] if one["line"] == 3)
    assert (value["file"], value["what"]) == ("acc.hex", f"acc[0, 1] is 123, expected {int(right, 16):x}")
    assert app.main(["vectors", "--check", str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert "expected" in told.out
    assert "2 mismatches" in told.err


def test_trap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run(capsys, *PLAIN, "--overflow", "trap", "-o", tmp_path)
    assert result["outputs"] == 0
    assert result["trap"]["register"] == "accumulator"
    assert result["trace"]["element"] == result["trap"]["element"]
    assert "acc.hex" not in result["files"]
    assert run(capsys, "--check", tmp_path)["ok"]
    assert app.main(["vectors", "--check", str(tmp_path)]) == 0
    assert "traps at step" in " ".join(capsys.readouterr().out.split())


def test_small_floats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    formats = "--a-format", "e5m2", "--b-format", "e3m2"
    run(capsys, "--depth", "64", *formats, "--bits", "40", "-o", tmp_path)
    assert run(capsys, "--check", tmp_path)["ok"]
    header = (tmp_path / "vectors.h").read_text(encoding="utf-8")
    assert "GOLDEN_A_FORMAT 4 /* 0 uniform, 1 twin_softmax, 2 twin_gelu, 3 log2, 4 minifloat" in header
    assert "GOLDEN_A_SPECIAL 2 /* 0 none, 1 fn, 2 ieee" in header
    manifest = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    assert "exponent field" in manifest["conventions"]["minifloat"]
    codes = np.load(tmp_path / "vectors.npz")["a"]
    assert (codes & 0x7F).max() == 0x7B  # the largest number comes up, and infinity and NaN do not


def test_finer_logarithms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "--depth", "8", "--a-format", "log_sqrt2", "--a-bits", "4", "--bits", "20", "-o", tmp_path)
    assert run(capsys, "--check", tmp_path)["ok"]
    assert "GOLDEN_A_FRACTION_1 181" in (tmp_path / "vectors.h").read_text(encoding="utf-8")
    manifest = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    assert "F(c mod q)" in manifest["conventions"]["log2_root"]
    assert manifest["a"]["format"]["root"] == 2


def test_headers_of_other_formats_are_as_they_were(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "--depth", "4", "-o", tmp_path)
    assert "minifloat" not in (tmp_path / "vectors.h").read_text(encoding="utf-8")
    assert "minifloat" not in (tmp_path / "manifest.json").read_text(encoding="utf-8")


def test_vectors_that_overflow_nothing_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["vectors", "--depth", "4", "-o", str(tmp_path)]) == 0
    assert "No register overflows" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["-o", "--check"]),
        (["-o", "x"], ["--depth"]),
        (["-o", "x", "--depth", "0"], ["depth", "0"]),
        (["-o", "x", "--depth", "4", "--rows", "0"], ["--rows"]),
        (["-o", "x", "--depth", "4", "--rows", "9999999"], ["rows", "9999999"]),
        (["-o", "x", "--depth", "4", "--bits", "64"], ["bits", "63", "64"]),
        (["-o", "x", "--depth", "4", "--order", "tree"], ["tree:16"]),
        (["-o", "x", "--depth", "4", "--a-format", "twin_gelu"], ["--shift"]),
        (["-o", "x", "--depth", "4", "--codes", "corner"], ["Did you mean 'corners'?"]),
        (["-o", "x", "--depth", "4", "--trace", "1;2"], ["--trace 0,3"]),
        (["-o", "x", "--depth", "4", "--trace", "8,0"], ["(8, 8)"]),
        (["-o", "x", "--depth", "4", "--name", "8"], ["'golden'"]),
        (["-o", "x", "--depth", "4", "--layer", "head"], ["--layer"]),
        (["-o", "x", "--depth", "64", "--shift", "32", "--a-bits", "16", "--b-bits", "16"], ["bits", "63"]),
        (["m.safetensors", "-o", "x", "--depth", "4"], ["--depth"]),
        (["--check", "missing"], ["missing", "manifest.json"]),
        (["--check", "missing", "--depth", "4", "-o", "x"], ["leave --depth, -o out"]),
    ],
)
def test_wrong_input(
    arguments: list[str],
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert app.main(["vectors", *arguments]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 1
    assert told.err.startswith("ptqsim vectors: ")
    assert all(word in told.err for word in words), told.err
    assert list(tmp_path.iterdir()) == []
