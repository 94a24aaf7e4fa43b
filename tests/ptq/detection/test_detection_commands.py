"""The commands that know networks, on the bundled detector."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from ptqsim import ptq
from ptqsim.cli.framework import app
from ptqsim.ptq.evaluation.detection import DetectionEvaluation


class Run:
    """One call of the command line with ``--json``: status, parsed result, stderr."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: object) -> None:
        self.status = app.main([*map(str, arguments), "--json"])
        told = capsys.readouterr()
        self.errors = told.err
        self.result: dict[str, Any] = json.loads(told.out) if told.out else {}


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("calibrated") / "m.safetensors"
    arguments = ["calibrate", "--model", "detr_digits", "--method", "percentile", "--images", "4", "-o", str(path)]
    assert app.main(arguments) == 0
    return path


def test_the_bundled_detector_is_small_and_finds_digits() -> None:
    model = ptq.load_model("detr_digits")
    found = ptq.measure(model, ptq.load_data("digits", model), limit=60)
    assert isinstance(found, DetectionEvaluation)
    assert found.metrics["mAP"] > 40


def test_evaluate_in_every_mode(calibrated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = {
        mode: Run(capsys, "evaluate", calibrated, "--mode", mode, "--limit", 30).result["mAP"]
        for mode in ("float", "fake_quant", "integer")
    }
    plain = Run(capsys, "evaluate", "--model", "detr_digits", "--limit", 30)
    assert plain.result["mAP"] == found["float"]
    assert plain.result["AP50"] > plain.result["mAP"]
    assert abs(found["integer"] - found["fake_quant"]) < 10
    assert min(found.values()) > 30


def test_simulate_narrow_and_wide(calibrated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wide = Run(capsys, "simulate", calibrated, "--bits", 40, "--limit", 3)
    same = {"logits": 0, "of": 3 * 20 * 15, "predictions": 0, "images": 3, "largest": 0.0}
    assert wide.result["difference"] == same | {"divergence": {"value": 0.0, "standard_error": 0.0}}
    assert wide.result["exact"] == wide.result["simulated"]
    narrow = Run(capsys, "simulate", calibrated, "--bits", 12, "--limit", 3)
    assert narrow.result["difference"]["predictions"] > 0


def test_verify_and_bounds(calibrated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checked = Run(capsys, "verify", calibrated, "--outputs", 20, "--images", 4)
    assert checked.status == 0
    assert checked.result["mismatches"] == 0
    assert len(checked.result["layers"]) == 74
    widths = Run(capsys, "bounds", calibrated, "--images", 2).result["layers"]
    cross = widths["detr.model.decoder.layers.1.encoder_attn.matmul_pv"]
    assert cross["depth"] == 64
    assert cross["bounds"]["calibrated"]["bits"] <= cross["bounds"]["datatype"]["bits"]


def test_training_starts_by_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ("--model", "detr_digits", "--images", 128, "--limit", 5, "--state", tmp_path / "s.safetensors")
    made = Run(capsys, "train", *arguments, "-o", tmp_path / "w.safetensors")
    assert made.status == 0
    again = Run(capsys, "evaluate", "--model", "detr_digits", "--checkpoint", tmp_path / "w.safetensors", "--limit", 5)
    assert again.result["mAP"] == made.result["mAP"]
    assert load_file(tmp_path / "w.safetensors").keys() == ptq.load_model("detr_digits").state_dict().keys()


def test_bad_input_is_one_line(coco: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    def outside(content: dict[str, Any]) -> None:
        content["annotations"][0]["bbox"] = [100.0, 100.0, 20.0, 30.0]

    run = Run(capsys, "evaluate", "--model", "detr_digits", "--data", coco(outside))
    assert run.status == 2
    assert "has a box outside of its image" in run.errors
    assert run.errors.strip().count("\n") == 0
    assert Run(capsys, "evaluate", "--model", "detr_resnet_50").status == 2
