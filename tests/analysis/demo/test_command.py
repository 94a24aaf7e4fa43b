"""``ptqsim demo`` from end to end."""

from __future__ import annotations

import csv
import json

import pytest

from ptqsim import ptq

PARTS = ("demo.accuracy", "demo.exactness", "simulator.safe_width", "demo.width_curve", "ptq4vit.fig4")


def test_everything_is_printed_and_written(demo, tmp_path, capsys):
    assert demo() == 0
    printed = capsys.readouterr()
    for title in (
        "Accuracy on 12",
        "Outputs recomputed",
        "Accumulator widths",
        "Top-1 against",
    ):
        assert title in printed.out
    assert "[5/5]" in printed.err
    for part in PARTS:
        suffixes = {path.name.removeprefix(part) for path in (tmp_path / "out").glob(f"{part}.*")}
        assert ".json" in suffixes
        assert any(suffix.endswith(".csv") for suffix in suffixes)
        if part != "demo.exactness":
            assert {".pdf", ".svg", ".png"} <= suffixes
    with (tmp_path / "out" / "demo.exactness.checks.csv").open() as file:
        checks = list(csv.DictReader(file))
    assert len(checks) == 14  # patch projection, two blocks of six operations, classifier
    assert all(int(row["outputs"]) >= 60 and row["mismatches"] == "0" for row in checks)


@pytest.mark.usefixtures("no_pictures")
def test_json_is_all_that_reaches_stdout(demo, tmp_path, capsys):
    assert demo("--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert tuple(result["parts"]) == PARTS
    assert result["mismatches"] == 0
    rows = result["parts"]["demo.accuracy"]["data"]["accuracy"]
    assert [(row["method"], row["mode"]) for row in rows] == [
        ("float", "float"),
        ("base_ptq", "fake_quant"),
        ("base_ptq", "integer"),
        ("ptq4vit", "fake_quant"),
        ("ptq4vit", "integer"),
    ]


@pytest.mark.usefixtures("no_pictures")
def test_a_mismatch_makes_the_exit_status_1(demo, monkeypatch, capsys):
    honest = ptq.verify

    def wrong(*arguments, **options):
        checks = honest(*arguments, **options)
        checks["blocks.0.mlp.fc1"] = ptq.Check(outputs=60, mismatches=2, first="group 0, output (1, 2): 3 instead of 4")
        return checks

    monkeypatch.setattr(ptq, "verify", wrong)
    assert demo() == 1
    printed = capsys.readouterr().err
    assert "blocks.0.mlp.fc1: 2 mismatches, the first at group 0, output (1, 2): 3 instead of 4" in printed
    assert "2 outputs are not what the reference computes" in printed


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("fatal", [1, 3, 5])
def test_an_interrupted_demo_keeps_what_was_finished(demo, monkeypatch, capsys, fatal):
    evaluate, calls = ptq.evaluate, []

    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) == fatal:
            raise KeyboardInterrupt
        return evaluate(*arguments, **options)

    monkeypatch.setattr(ptq, "evaluate", interrupted)
    assert demo() == 130
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("ptqsim demo: interrupted; 0 of 5 parts are in ")
    assert last.endswith("what the next one has finished is kept: the same command resumes")

    def no_calibration(*arguments, **options):
        raise AssertionError("a finished calibration was repeated")

    if fatal == 5:
        monkeypatch.setattr(ptq, "calibrate", no_calibration)
    before = len(calls)
    monkeypatch.setattr(ptq, "evaluate", lambda *a, **o: (calls.append(1), evaluate(*a, **o))[1])
    assert demo() == 0
    resumed = len(calls) - before
    calls.clear()
    assert demo() == 0
    assert not calls  # everything is kept now
    assert resumed >= 5 - (fatal - 1)  # of the five evaluations of the accuracy table, those finished were not repeated
