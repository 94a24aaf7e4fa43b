"""LayerNorms that calibration has learned, in ONNX files."""

from __future__ import annotations

import copy
from pathlib import Path

import torch

from ptqsim import ptq


def test_learned_norms_are_exported_whatever_mode_runs(
    quantized: ptq.QuantizedModel, images: torch.Tensor, tmp_path: Path
) -> None:
    tuned = copy.deepcopy(quantized)
    norm = tuned.model.get_parameter("blocks.0.norm1.weight")
    tuned.tune({"blocks.0.norm1.weight": norm.detach() * 1.25})
    for mode in ("float", "fake_quant"):
        tuned.mode = mode
        ptq.export_onnx(tuned, tmp_path / f"{mode}.onnx")
        assert tuned.mode == mode
    assert (tmp_path / "float.onnx").read_bytes() == (tmp_path / "fake_quant.onnx").read_bytes()
    check = ptq.check_onnx(tuned, tmp_path / "float.onnx", images)
    assert check.passed
    assert check.logits["as written"].largest < 1e-3
