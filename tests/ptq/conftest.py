"""A small vision transformer with random weights, and images for it: quick, and enough for every property."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ptqsim import ptq
from ptqsim.ptq.data import normalize
from ptqsim.ptq.scenes import make_scenes


def tiny_vit() -> nn.Module:
    from timm.models.vision_transformer import VisionTransformer

    torch.manual_seed(0)
    return VisionTransformer(
        img_size=32, patch_size=8, num_classes=10, embed_dim=32, depth=2, num_heads=2, init_values=None
    ).eval()


@pytest.fixture(scope="session")
def model() -> nn.Module:
    return tiny_vit()


@pytest.fixture(scope="session")
def images() -> torch.Tensor:
    return normalize(make_scenes("calibration", 0, 8).images)


@pytest.fixture(scope="session")
def quantized(model: nn.Module, images: torch.Tensor) -> ptq.QuantizedModel:
    """Calibrated at W6A6; tests that change its state restore it."""
    return ptq.calibrate(model, images, method="ptq4vit", w_bits=6, a_bits=6, n=12)
