"""Short reconstructions of a small network."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ptqsim import ptq

FEW: dict[str, Any] = {"method": "reconstruct", "w_bits": 3, "a_bits": 4, "n": 8, "rounds": 1, "batch": 4}


def made(model: nn.Module, images: torch.Tensor, **more: Any) -> ptq.QuantizedModel:
    return ptq.calibrate(model, images, **{**FEW, "iterations": 12, **more})


def losses(quantized: ptq.QuantizedModel) -> list[tuple[float, float]]:
    return [(part["before"], part["after"]) for part in quantized.info["reconstruction"]]
