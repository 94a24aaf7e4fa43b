"""``ptqsim profiles``, and ``--profile`` of commands that take accumulators."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ptqsim.cli.framework import app
from ptqsim.profiles import AVX2_U8S8, PROFILES


def test_all_are_listed_with_their_sources(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["profiles", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["profiles"]
    assert [one["name"] for one in found] == list(PROFILES)
    assert all(one["source"] for one in found)
    assert app.main(["profiles", "TFLITE"]) == 0
    assert "ruy" in capsys.readouterr().out


def test_bounds_of_the_registers(capsys: pytest.CaptureFixture[str]) -> None:
    """Two products of 255 * 128 need 17 bits, and of 127 * 128 just 16."""
    for bits, needed in (("8", 17), ("7", 16)):
        arguments = [
            "bounds",
            "--bits",
            bits,
            "--b-bits",
            "8",
            "--a-unsigned",
            "--depth",
            "384",
            "--profile",
            "AVX2_U8S8",
        ]
        assert app.main([*arguments, "--json"]) == 0
        tile, accumulator = json.loads(capsys.readouterr().out)["registers"]
        assert (tile["bits"], tile["bits_needed"], tile["can_overflow"]) == (16, needed, needed > 16)
        assert not accumulator["can_overflow"]


def test_vectors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["vectors", "--profile", "AVX2_U8S8", "--a-unsigned", "--depth", "8", "-o", str(tmp_path)]
    assert app.main(arguments) == 0
    manifest = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["accumulator"] == AVX2_U8S8.accumulator.to_dict()
    assert app.main(["vectors", "--check", str(tmp_path)]) == 0
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["profiles", "AVX"], "unknown profile 'AVX'"),
        (["bounds", "--depth", "8", "--profile", "AVX2_U8S8"], "AVX2_U8S8 takes unsigned uniform codes"),
        (["vectors", "--depth", "8", "--profile", "AVX2_U8S8", "-o", "x"], "AVX2_U8S8 takes unsigned uniform codes"),
        (["vectors", "--depth", "8", "--profile", "TFLITE", "--bits", "20", "-o", "x"], "leave out --bits"),
        (["bounds", "--depth", "8", "--profile", "TFLITE", "--zero-point", "correction"], "leave --alignment and"),
        (["bounds", "m.safetensors", "--profile", "TFLITE"], "bounds takes it without one; try ptqsim simulate"),
    ],
)  # fmt: skip
def test_refusals(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert app.main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())
