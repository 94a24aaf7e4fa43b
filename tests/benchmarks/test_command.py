"""``ptqsim bench``: what it writes, and that it fails where an output is wrong. No speed is asserted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import process, start
from benchmarks.products.contenders import Oracle
from benchmarks.products.oracle import Expected
from benchmarks.start import Started
from ptqsim.cli.framework import app


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this process had been started for measuring."""
    for name, value in process.settings(portable=False).items():
        monkeypatch.setenv(name, value)
    for name in process.CHOOSE_FOR_BLAS:
        monkeypatch.delenv(name, raising=False)


def test_nothing_slows_the_baseline_down(here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel of numpy's BLAS that somebody chose is not what is measured."""
    wanted = process.settings(portable=False)
    assert process.is_set(wanted)
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    assert not process.is_set(wanted)
    code = "import os, sys; sys.exit(3 if 'OPENBLAS_CORETYPE' in os.environ else 0)"
    monkeypatch.setattr(process, "MODULE", ("-c", code))
    assert process.rerun([], wanted) == 0


def test_a_processor_that_is_imitated_is_numpys_too(here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = process.settings(portable=True)
    assert wanted["OPENBLAS_CORETYPE"] == "Haswell"
    assert not process.is_set(wanted)
    for name, value in wanted.items():
        monkeypatch.setenv(name, value)
    assert process.is_set(wanted)
    monkeypatch.setenv("OPENBLAS_L2_SIZE", "512")
    assert not process.is_set(wanted)


def test_quick_run_of_everything(tmp_path: Path, here: None, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bench.json"
    assert app.main(["bench", "--quick", "--json", "-o", str(path)]) == 0
    told = capsys.readouterr()
    data = json.loads(told.out)
    assert data == json.loads(path.read_text(encoding="utf-8"))
    assert {"command", "machine", "versions", "seed", "rounds", "cases", "two_threads", "overflow_peers"} <= set(data)
    assert {"processor", "blas", "features", "dot_products_of_bytes"} <= set(data["machine"])
    assert data["versions"]["numpy"] == np.__version__
    names = {case["case"] for case in data["cases"]}
    assert {"exact 32", "wrap 20", "saturate 16", "saturate 40", "trap", "observed width", "numpy int64"} <= names
    for case in data["cases"]:
        # sums in float32 are rounded, which the report says of other libraries
        assert case["wrong"] == 0 or (case["peer"] and "float32" in case["case"]), case
        assert set(case["timings"]) <= {"prepared", "fresh"}
        for timing in case["timings"].values():
            assert len(timing["seconds"]) == len(timing["baseline_seconds"]) == data["rounds"] == 3
            assert timing["ratio"] > 0
        assert case["target"] is None, "small shapes are not judged"
        if case["case"].startswith("saturate") and "certified" not in case["case"]:
            assert case["certified"] == 0.0, case
            assert case["overflowing"] > 0.0, case
        if "certified" in case["case"]:
            assert case["certified"] == 1.0
    assert max(len(line) for line in told.err.splitlines() if line.startswith(" ")) <= 100


def test_only_what_matches_is_measured(here: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["bench", "--quick", "--json", "--only", "pv/*/saturate 24"]) == 0
    cases = json.loads(capsys.readouterr().out)["cases"]
    assert {(case["shape"]["name"], case["case"]) for case in cases} == {("PV", "saturate 24")}


def test_nothing_that_matches_is_an_error_of_one_line(here: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["bench", "--quick", "--only", "no such case"]) == 2
    told = capsys.readouterr()
    assert told.err.startswith("ptqsim bench: no case matches")
    assert told.out == ""


def test_a_wrong_output_is_found_and_fails(
    here: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = Oracle.expected

    def off_by_one(self: Oracle, case: object) -> Expected:
        found = right(self, case)  # type: ignore[arg-type]
        acc = found.acc.copy()
        acc.flat[7] += 1
        return found._replace(acc=acc)

    monkeypatch.setattr(Oracle, "expected", off_by_one)
    assert app.main(["bench", "--quick", "--json", "--only", "linear/*uniform*/saturate 24"]) == 1
    told = capsys.readouterr()
    assert {case["wrong"] for case in json.loads(told.out)["cases"]} == {1}
    assert "1 of 840 outputs are not what the oracle computes" in told.err
    assert "WRONG: 1" in told.err


def test_wrong_counts_of_events_are_found(
    here: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = Oracle.expected

    def one_more(self: Oracle, case: object) -> Expected:
        found = right(self, case)  # type: ignore[arg-type]
        events = found.events.copy()
        events.flat[3] += 1
        return found._replace(events=events)

    monkeypatch.setattr(Oracle, "expected", one_more)
    assert app.main(["bench", "--quick", "--json", "--only", "linear/*/saturate 16*"]) == 1
    wrong = {case["case"]: case["wrong"] for case in json.loads(capsys.readouterr().out)["cases"]}
    assert wrong == {"saturate 16": 0, "saturate 16 counted": 840}


@pytest.mark.parametrize("portable", [False, True])
def test_it_starts_itself_with_one_thread_and_the_wanted_instructions(portable: bool) -> None:
    arguments = ["bench", "--quick", "--json", "--only", "pv/uniform8*/exact 32", *["--portable"] * portable]
    environment = {name: value for name, value in os.environ.items() if name not in process.settings(portable=True)}
    command = [sys.executable, "-m", "ptqsim.cli", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    data = json.loads(done.stdout)
    assert data["command"] == " ".join(["ptqsim", *arguments])
    [case] = data["cases"]
    assert case["wrong"] == 0
    if portable:
        assert data["machine"]["features"] == process.AVX2["NUMBA_CPU_FEATURES"]
        assert not data["machine"]["dot_products_of_bytes"]
        assert data["machine"]["vector_bits"] == 256
        assert case["kernel"] == "dot_int16"


def test_start(here: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    calls: list[tuple[str, ...]] = []

    def fake(arguments: tuple[str, ...], cache: str, portable: bool) -> Started:
        calls.append(tuple(arguments))
        assert Path(cache).is_dir()
        return Started(cpu=25.0 if len(calls) == 1 else 0.5, wall=30.0, printed='["dot_int8"]')

    monkeypatch.setattr(start, "started", fake)
    assert app.main(["bench", "--start", "--quick", "--json"]) == 0
    told = capsys.readouterr()
    data = json.loads(told.out)
    assert data["start"]["cold"]["cpu"] == 25.0
    assert data["start"]["first_cpu"] == 0.5
    assert data["start"]["kernels"] == ["dot_int8"]
    assert calls[0] == calls[1] == start.EVERY_KERNEL
    lines = {line.strip().split("  ")[0]: line.split()[-1] for line in told.err.splitlines() if line.strip()}
    assert lines["every kernel compiled"] == "no"
    assert lines["import and first result, cached"] == "yes"


def test_a_process_that_fails_is_not_a_measurement(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="failed with status 3"):
        start.started(("-c", "raise SystemExit(3)"), str(tmp_path), portable=False)
    assert start.started(("-c", "print('there')"), str(tmp_path), portable=False).printed == "there\n"
