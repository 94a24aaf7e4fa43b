"""Weights of a network rounded with compensation of the error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ptqsim import ptq

FEW: dict[str, Any] = {"w_bits": 3, "a_bits": 8, "n": 8, "rounds": 1}


@pytest.mark.parametrize("w_granularity", ["tensor", "channel"])
def test_outputs_of_layers_come_nearer(
    model: nn.Module, images: torch.Tensor, w_granularity: str, tmp_path: Path
) -> None:
    nearest, made, improved = (
        ptq.calibrate(model, images, w_granularity=w_granularity, weight_rounding=rounding, sweeps=sweeps, **FEW)
        for rounding, sweeps in (("nearest", 0), ("gptq", 0), ("gptq", 10))
    )
    with ptq.capture(model, images, gradient=None) as captured:
        for name in ("blocks.0.attn.qkv", "blocks.1.mlp.fc1", "blocks.1.mlp.fc2"):
            data = captured[name]
            errors = []
            for q in (nearest, made, improved):
                op = q.layers[name]
                assert op.formats == nearest.layers[name].formats
                op.mode = "fake_quant"  # type: ignore[assignment]
                errors.append(float((op.product(data.a, data.b) - data.out).square().mean()))
            assert errors[1] < errors[0], name
            assert errors[2] < 1.02 * errors[1], name
    made.save(tmp_path / "m.safetensors")
    read = ptq.load(tmp_path / "m.safetensors", model)
    for mode in ("fake_quant", "integer"):
        made.mode = read.mode = mode  # type: ignore[assignment]
        assert torch.equal(made(images), read(images))


def test_options(model: nn.Module, images: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="sweeps is -1; legal is 0 to 1000"):
        ptq.PTQ4ViT(sweeps=-1)
    with pytest.raises(ValueError, match="chooses codes of uniform ones by its rounding"):
        ptq.calibrate(model, images, weight_rounding="gptq", formats={"weight": "e4m3"}, **FEW)
