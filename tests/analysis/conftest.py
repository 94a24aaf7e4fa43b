"""A small vision transformer with random weights in place of the bundled one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from analysis.framework.store import ArtifactStore
from analysis.framework.workload import Workload
from ptqsim import ptq
from ptqsim.ptq.zoo.detector_names import DETECTORS, DETR_DIGITS, DetrModel
from tests.ptq.networks import HALF, vision_transformer


@pytest.fixture(scope="session")
def tiny_model():
    torch.manual_seed(0)
    made = vision_transformer(img_size=32, patch_size=8, num_classes=100, embed_dim=32, depth=2, num_heads=2)
    made.pretrained_cfg = HALF
    return made


@pytest.fixture(scope="session")
def tiny_detector():
    torch.manual_seed(0)
    arguments = DETR_DIGITS.arguments | {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "num_queries": 6}
    arguments |= {"encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
    arguments["backbone"] = arguments["backbone"] | {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]}
    return DetrModel("tiny", arguments, DETR_DIGITS.preprocessing).build().eval()


@pytest.fixture
def tiny(tiny_model: nn.Module, tiny_detector: nn.Module, monkeypatch: pytest.MonkeyPatch):
    """Makes every model name stand for the small one of its kind."""
    monkeypatch.setattr(ptq, "load_model", lambda name, **options: tiny_detector if name in DETECTORS else tiny_model)


@pytest.fixture
def workload(tiny, tmp_path):
    with Workload(store=ArtifactStore(tmp_path / "cache"), images=4) as made:
        yield made
