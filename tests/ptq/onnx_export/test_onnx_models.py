"""Whole networks exported: the bundled ones by the command line, timm's with random weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from ptqsim import ptq
from ptqsim.cli.framework import app
from tests.ptq.networks import timm_model


@pytest.mark.parametrize("name", ["vit_digits", "deit_digits", "swin_digits"])
def test_bundled_models_from_the_command_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calibrated, written = tmp_path / "m.safetensors", tmp_path / "m.onnx"
    arguments = ["--w-bits", "6", "--a-bits", "6", "--images", "4", "-O", "n=8", "-O", "rounds=1"]
    assert app.main(["calibrate", "--model", name, *arguments, "-o", str(calibrated)]) == 0
    capsys.readouterr()
    assert app.main(["export", str(calibrated), "--onnx", str(written), "--check", "8", "--json"]) == 0
    told = capsys.readouterr()
    result = json.loads(told.out)
    layers = {"vit_digits": 38, "deit_digits": 33, "swin_digits": 45}[name]
    twins = {"vit_digits": 12, "deit_digits": 10, "swin_digits": 14}[name]
    assert len(result["export"]["layers"]) == len(result["check"]["layers"]) == layers
    assert len(result["not_q_dq"]) == twins
    assert result["in_float"] == []
    assert result["passed"]
    assert result["check"]["images"] == 8
    found = result["check"]["layers"].values()
    assert sum(layer["mismatches"] for layer in found) == 0
    assert max(layer["same_input"] for layer in found) < 1e-5
    # a flip of one rounding spreads, but little: the root mean square difference of any layer stays below 5 %
    assert max(layer["relative"] for layer in found) < 0.05
    assert result["check"]["logits"]["as written"]["predictions"] == 0
    assert "rounded differently" in told.err


def test_wrong_input_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in (
        (["none.safetensors", "--onnx", "m.onnx"], "ptqsim calibrate -o"),
        (["m.safetensors"], "--onnx m.onnx"),
        (["m.safetensors", "--onnx", "m.onnx", "--check", "0"], "--check"),
    ):
        assert app.main(["export", *arguments]) == 2
        told = capsys.readouterr()
        assert words in told.err
        assert told.err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize(
    "name", ["vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "swin_tiny_patch4_window7_224"]
)
def test_models_of_timm(name: str, bits: int, tmp_path: Path) -> None:
    """Random weights; the check is of the arithmetic."""
    torch.manual_seed(0)
    network = timm_model(name)
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    quantized = ptq.calibrate(network, images[:1], method="ptq4vit", w_bits=bits, a_bits=bits, n=4, rounds=1)
    report = ptq.export_onnx(quantized, tmp_path / "m.onnx")
    assert list(report.layers) == list(quantized.layers)
    check = ptq.check_onnx(quantized, report.path, images, batch=1)
    assert check.passed
