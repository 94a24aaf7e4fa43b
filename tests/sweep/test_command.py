"""``ptqsim sweep`` from end to end: a real model, few images, a worker."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_model

from ptqsim import ptq
from ptqsim.cli.framework.app import main

STUDY = """
name: tiny
axes:
  model: vit_digits
  method: percentile
  w_bits: 6
  a_bits: 6
  mode: [float, fake_quant, integer, integer_only]
  residual_scale: [free, power_of_two]
  softmax: {kind: softmax, entries: 16}
  acc_bits: [exact, 16, 63]
  overflow: saturate
  calibration_images: 4
  evaluation_images: 10
exclude: residual_scale == "power_of_two" and (acc_bits != "exact" or mode != "integer_only")
ask:
  - narrowest: acc_bits
    within: 10
"""


Said = pytest.CaptureFixture[str]


def ptqsim(*arguments: object, expected: int = 0) -> None:
    assert main(list(map(str, arguments))) == expected


DIVERGENCE = ("kl", "kl_standard_error", "agreement")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "tiny.yaml"
    path.write_text(STUDY)
    return path


@pytest.fixture(scope="module")
def ran(study: Path) -> dict[str, Any]:
    """Messages of the command in a process of its own, whose worker imports the module that was started."""
    command = [sys.executable, "-m", "ptqsim.cli", "sweep", str(study), "--jobs", "1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_it_runs(ran: dict[str, Any], study: Path) -> None:
    counts = ran["counts"]
    assert counts["calibration"] == {"planned": 3, "done": 3, "trapped": 0, "failed": 0, "missing": 0}
    assert counts["point"]["planned"] == counts["point"]["done"] >= 8
    (answer,) = ran["answers"]
    assert answer["top1"] >= answer["exact_top1"] - 10 > (answer["top1_below"] or -100)
    assert study.with_suffix(".sqlite").exists()


def test_exports_agree_with_each_other_and_with_exactness(ran: dict[str, Any], study: Path) -> None:
    ptqsim("sweep", study, "--csv", study.with_name("p.csv"), "--parquet", study.with_name("p.parquet"))
    with study.with_name("p.csv").open(newline="") as file:
        listed = list(csv.DictReader(file))
    from pyarrow import parquet

    table = parquet.read_table(study.with_name("p.parquet")).to_pylist()
    assert len(listed) == len(table) == ran["counts"]["point"]["done"]
    assert [row["key"] for row in listed] == [row["key"] for row in table]
    for text, typed in zip(listed, table, strict=True):
        for name in ("top1", "acc_bits", "storage_bits", "accumulator_bits"):
            assert (text[name] == "" and typed[name] is None) or float(text[name]) == typed[name]
        assert typed["made_code"]
        assert "torch" in typed["made_versions"]
    integer = {row["acc_bits"]: row for row in table if row["mode"] == "integer"}
    # nothing overflows in 63 bits, so every logit is that of the exact accumulator
    assert integer[None]["logits_sha256"] == integer[63]["logits_sha256"]
    assert [integer[None][name] for name in DIVERGENCE] == [integer[63][name] for name in DIVERGENCE]
    assert integer[63]["kl"] > 0
    networks = [row for row in table if row["mode"] == "integer_only"]
    (rounded,) = (row for row in networks if row["residual_scale"] == "power_of_two")
    only = {row["acc_bits"]: row for row in networks if row["residual_scale"] == "free"}
    assert rounded["logits_sha256"] != only[None]["logits_sha256"]
    assert only[None]["logits_sha256"] == only[63]["logits_sha256"] != only[16]["logits_sha256"]
    assert (only[None]["softmax"], only[None]["residual_bits"]) == ("softmax,entries=16", 16)
    assert integer[None]["softmax"] is None
    assert abs(only[None]["cross_entropy"] - integer[None]["cross_entropy"]) < 0.2
    assert [(row["kl"], row["agreement"]) for row in table if row["mode"] == "float"] in ([], [(0.0, 100.0)])
    assert integer[None]["accumulator_bits"] == max(json.loads(integer[None]["observed"]).values())


def test_one_point_computed_anew_has_the_same_bits(ran: dict[str, Any], study: Path, capsys: Said) -> None:
    key = next(iter(ran["answers"]))["key"]
    ptqsim("sweep", study, "--point", key, expected=2)  # an answer is no point
    ptqsim("sweep", study, "--csv", study.with_name("q.csv"))
    with study.with_name("q.csv").open(newline="") as file:
        narrow = next(row["key"] for row in csv.DictReader(file) if row["acc_bits"] == "16")
    capsys.readouterr()
    ptqsim("sweep", study, "--point", narrow[:12], "--json")
    assert json.loads(capsys.readouterr().out)["agrees"] is True


@pytest.mark.slow
def test_other_processes_and_no_shared_files_give_the_same_bits(
    ran: dict[str, Any], study: Path, tmp_path: Path
) -> None:
    ptqsim("sweep", study, "--jobs", 2, "--store", tmp_path / "other.sqlite")
    ptqsim("sweep", study, "--csv", tmp_path / "one.csv")
    ptqsim("sweep", study, "--store", tmp_path / "other.sqlite", "--csv", tmp_path / "other.csv")
    bits = []
    for name in ("one.csv", "other.csv"):
        with (tmp_path / name).open(newline="") as file:
            bits.append({row["key"]: row["logits_sha256"] for row in csv.DictReader(file)})
    assert bits[0] == bits[1]


@pytest.mark.slow
def test_a_dry_run_counts_and_estimates(study: Path, tmp_path: Path, capsys: Said) -> None:
    ptqsim("sweep", study, "--dry-run", "--store", tmp_path / "none.sqlite", "--json")
    found = json.loads(capsys.readouterr().out)
    assert (found["points"], found["calibrations"], found["searches"]) == (5, 1, 1)
    assert found["seconds"] > 0
    assert not (tmp_path / "none.sqlite").exists()


def test_a_dry_run_of_weights_that_are_not_in_the_package(tmp_path: Path, capsys: Said) -> None:
    save_model(ptq.load_model("vit_digits"), tmp_path / "mine.safetensors")
    study = tmp_path / "mine.yaml"
    study.write_text(
        "name: mine\n"
        "axes:\n"
        "  model: {name: vit_digits, checkpoint: mine.safetensors}\n"
        "  method: percentile\n"
        "  mode: float\n"
        "  evaluation_images: 10\n"
    )
    ptqsim("sweep", study, "--dry-run", "--json")
    assert json.loads(capsys.readouterr().out)["seconds"] > 0


def test_errors_are_one_line(study: Path, tmp_path: Path, capsys: Said) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(STUDY.replace("w_bits", "w_bit"))
    ptqsim("sweep", wrong, expected=2)
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert f"{wrong}:6:3: unknown axis 'w_bit'" in told
    assert "Did you mean 'w_bits'" in told
    ptqsim("sweep", study, "--status", "--store", tmp_path / "none.sqlite", expected=2)
    assert "there are no results at" in capsys.readouterr().err
