"""``ptqsim figures`` and ``python -m analysis``."""

from __future__ import annotations

import json
import runpy

import pytest

from analysis.framework.registry import FIGURES
from ptqsim.cli.framework.app import main


def test_a_named_figure_is_written(tiny, tmp_path, capsys):
    assert main(["figures", "ptq4vit.fig4", "ptq4vit.range_rule", "--out", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["written"] == ["ptq4vit.fig4", "ptq4vit.range_rule"]
    for name in ("ptq4vit.fig4", "ptq4vit.range_rule"):
        assert {f"{name}.{kind}" for kind in ("pdf", "svg", "png", "json", "points.csv")} == {
            path.name for path in tmp_path.glob(f"{name}.*")
        }


def test_the_module_is_the_same_command(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["analysis", "ptq4vit.fig4", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("analysis", run_name="__main__")
    assert end.value.code == 0
    assert (tmp_path / "ptq4vit.fig4.pdf").is_file()


def test_all_are_listed(capsys):
    assert main(["figures", "--list", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == set(FIGURES)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["ptq4vit.fig44"], "near are 'ptq4vit.fig4'"),
        (["ptq4vit.fig2", "--model", "vit_digit"], "Did you mean 'vit_digits'"),
        (["ptq4vit.fig2", "--data", "nowhere"], "there is no data folder at nowhere"),
        (["ptq4vit.fig2", "--checkpoint", "nowhere.safetensors"], "there is no checkpoint at nowhere.safetensors"),
        (["ptq4vit.fig2", "--images", "5000"], "5000 images were asked"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(arguments, line, tmp_path, capsys):
    assert main(["figures", *arguments, "--out", str(tmp_path)]) == 2
    printed = capsys.readouterr()
    assert line.lower() in printed.err.lower()
    assert len(printed.err.splitlines()) == 1
