"""Results go to stdout, everything else to stderr."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from ptqsim.cli.framework.output import Output


@dataclass
class Bound:
    name: str
    bits: int


def write_all(output: Output) -> None:
    output.note("reading [models] from a path")
    output.table(["layer", "bits", "top-1"], [["qkv", 32, "81.5 %"], ["mlp", 9, None]], title="Widths")
    output.result({"count": np.int64(3), "codes": np.arange(3, dtype=np.uint8), "bound": Bound("datatype", 32)})
    assert list(output.track(["a", "b"], "counting", "letter")) == ["a", "b"]


def test_tables_are_the_result_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    write_all(Output())
    told = capsys.readouterr()
    assert "Widths" in told.out
    assert "datatype" not in told.out
    assert told.err.splitlines()[0] == "reading [models] from a path"


def test_json_is_the_only_result_for_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    write_all(Output(as_json=True))
    told = capsys.readouterr()
    assert json.loads(told.out) == {"count": 3, "codes": [0, 1, 2], "bound": {"name": "datatype", "bits": 32}}
    assert "Widths" in told.err


def test_numbers_are_flush_right(capsys: pytest.CaptureFixture[str]) -> None:
    Output().table(["layer", "bits"], [["q", 32], ["mlp", 9]])
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].index("32") + 1 == lines[4].index("9")
    assert lines[3].index("q") == lines[4].index("mlp")


def test_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    name, words = "blocks.11.attn.matmul_qk", "one bound for each of the registers of a datapath"
    monkeypatch.setenv("COLUMNS", "50")
    Output().table(["layer", "why"], [[name, words]])
    text = capsys.readouterr().out
    assert name in text
    assert all(word in text for word in words.split())
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 50
    monkeypatch.delenv("COLUMNS")
    Output().table(["layer", "why"], [[name, words]])
    assert f"{name}   {words}" in capsys.readouterr().out


def test_json_knows_paths_and_refuses_what_it_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=True).result({"path": Path("a/b")})
    assert json.loads(capsys.readouterr().out) == {"path": "a/b"}
    with pytest.raises(TypeError, match="set has no JSON form"):
        Output(as_json=True).result({"names": {1}})


def test_what_is_not_finite_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    """As RFC 8259 has it: Python alone would read NaN back."""
    Output(as_json=True).result({"cross_entropy": float("nan"), "largest": np.float32("inf"), "top1": 0.5})
    text = capsys.readouterr().out
    assert json.loads(text) == {"cross_entropy": None, "largest": None, "top1": 0.5}
    assert "NaN" not in text
    assert "Infinity" not in text


def test_progress_shows_count_rate_and_state(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes any stream for a terminal then
    monkeypatch.setenv("COLUMNS", "160")
    with Output().progress("calibrate", "layer") as report:
        for done in range(1, 6):
            report(done, 5, f"block {done}")
    drawn = capsys.readouterr().err
    assert "calibrate" in drawn
    assert "5/5" in drawn
    assert "layers/s" in drawn
    assert "block 5" in drawn


def test_progress_is_a_callback(capsys: pytest.CaptureFixture[str]) -> None:
    with Output().progress("calibrate", "layer") as report:
        report(1, 50, "blocks.0.attn.qkv")
        report(2, 50, "blocks.0.attn.proj")
    assert capsys.readouterr().out == ""
