"""A small vision transformer with random weights in place of the bundled one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from analysis.store import Store
from analysis.workload import Workload
from ptqsim import ptq


@pytest.fixture(scope="session")
def tiny_model():
    from timm.models.vision_transformer import VisionTransformer

    torch.manual_seed(0)
    return VisionTransformer(img_size=32, patch_size=8, num_classes=100, embed_dim=32, depth=2, num_heads=2).eval()


@pytest.fixture
def tiny(tiny_model: nn.Module, monkeypatch: pytest.MonkeyPatch):
    """Makes every model name stand for the small one."""
    monkeypatch.setattr(ptq, "load_model", lambda name, **options: tiny_model)


@pytest.fixture
def workload(tiny, tmp_path):
    with Workload(store=Store(tmp_path / "cache"), images=4) as made:
        yield made
