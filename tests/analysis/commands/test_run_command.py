"""``ptqsim tables``: options, models, several forms of one table, and going on after an interruption."""

from __future__ import annotations

import json

import pytest

from analysis.framework.registry import TABLES
from analysis.methods.point import MethodPoint
from ptqsim.cli.framework.app import main

SMALL = ["-O", "methods=base_ptq", "-O", "widths=5", "-O", "seeds=0,1", "-O", "images=8", "--images", "2"]


@pytest.fixture
def tables(tiny, tmp_path):
    """Runs ``ptqsim tables`` with more arguments and returns its exit status."""
    return lambda *arguments: main(["tables", *arguments, "--out", str(tmp_path / "out")])


def test_a_table_in_all_its_forms(tables, tmp_path, capsys):
    assert tables("methods.accuracy", *SMALL, "--model", "vit_digits", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["written"] == ["methods.accuracy"]
    assert len(result["tables"]["methods.accuracy"]["points"]) == 4
    assert {path.name for path in (tmp_path / "out").glob("*.*")} - {".cache"} == {
        f"methods.accuracy.{suffix}" for suffix in ("md", "tex", "points.csv", "json")
    }


def test_nothing_finished_is_lost(tables, monkeypatch, capsys):
    compute = MethodPoint.compute
    done = []

    def interrupted(self, workload):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append((repr(self), workload.seed))
        return compute(self, workload)

    monkeypatch.setattr(MethodPoint, "compute", interrupted)
    assert tables("methods.accuracy", *SMALL, "--model", "vit_digits") == 130
    assert "the same command resumes" in capsys.readouterr().err
    first = list(done)
    done.clear()
    assert tables("methods.accuracy", *SMALL, "--model", "vit_digits") == 0
    assert len(done) == 1
    assert not set(done) & set(first)


def test_all_are_listed(capsys):
    assert main(["tables", "--list", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == set(TABLES)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["methods.acuracy"], "near are 'methods.accuracy'"),
        (["methods.accuracy", "-O", "width=6"], "Did you mean 'widths'?"),
        (["methods.accuracy", "-O", "methods=base_pqt"], "Did you mean 'base_ptq'?"),
        (["ptq4vit.fig2", "--model", "a", "--model", "b"], "2 models were named"),
        (["methods.accuracy", "--model", "a", "--model", "b", "--checkpoint", "c"], "one checkpoint was given"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(tables, arguments, line, capsys):
    assert tables(*arguments) == 2
    printed = capsys.readouterr()
    assert line in printed.err
    assert len(printed.err.splitlines()) == 1
