"""Every method, and mixed precision, on a detector: formats everywhere, and outputs that stay near."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ptqsim import ptq
from ptqsim.ptq.network.detr.detector import Detector

QUICK: dict[str, dict[str, Any]] = {
    "percentile": {},
    "easyquant": {"n": 6},
    "base_ptq": {"n": 6},
    "bit_split": {"n": 6},
    "liu2021": {"n": 6, "rounds": 1},
    "ptq4vit": {"n": 6},
    "ptq4vit_plus": {"n": 6, "folds": 2, "rounds": 1},
}


def distance(quantized: ptq.QuantizedModel, detector: Detector, images: torch.Tensor) -> float:
    with torch.no_grad():
        exact = detector(images)
    return float((quantized(images) - exact).abs().mean() / (exact - exact.mean()).abs().mean())


@pytest.mark.parametrize(
    "method", [pytest.param(name, marks=pytest.mark.slow if name == "ptq4vit_plus" else ()) for name in QUICK]
)
def test_every_method_calibrates_a_detector(method: str, detector: Detector, scenes: torch.Tensor) -> None:
    quantized = ptq.calibrate(detector, scenes, method=method, w_bits=8, a_bits=8, **QUICK[method])
    assert all(op.formats is not None for op in quantized.layers.values())
    assert distance(quantized, detector, scenes) < 0.2


@pytest.mark.parametrize("sensitivity", ["nuclear_norm", "hessian"])
def test_modules_of_a_detector_have_widths_of_their_own(
    sensitivity: str, detector: Detector, scenes: torch.Tensor
) -> None:
    mixed = ptq.MixedPrecision(sensitivity=sensitivity, probes=1)
    quantized = ptq.calibrate(detector, scenes[:2], method="percentile", w_bits=6, a_bits=6, mixed_precision=mixed)
    report = quantized.info["mixed_precision"]
    # one encoder layer of self-attention and MLP, two decoder layers that have cross-attention besides
    assert list(report["bits"]) == [
        "detr.model.encoder.layers.0.self_attn", "detr.model.encoder.layers.0.mlp",
        *(f"detr.model.decoder.layers.{i}.{part}" for i in (0, 1) for part in ("self_attn", "encoder_attn", "mlp")),
    ]  # fmt: skip
    for name, op in quantized.layers.items():
        module = name.rpartition(".")[0]
        assert op.formats is not None
        assert op.formats.a[0].bits == report["bits"].get(module, 6)
    assert report["model_size"] <= report["uniform_size"] * (1 + 1e-9)


def test_widths_matter(detector: Detector, scenes: torch.Tensor) -> None:
    far = [
        distance(ptq.calibrate(detector, scenes, method="base_ptq", w_bits=bits, a_bits=bits, n=6), detector, scenes)
        for bits in (8, 6, 4)
    ]
    assert far[0] < far[1] < far[2]
