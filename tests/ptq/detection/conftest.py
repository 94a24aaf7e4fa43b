"""A very small DETR with random weights, and detection scenes for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ptqsim import ptq
from ptqsim.ptq.datasets.detection.digits import DetectionDigits
from ptqsim.ptq.network.detr.detector import Detector
from ptqsim.ptq.zoo.detector_names import DETR_DIGITS, DetrModel

TINY = DetrModel(
    "tiny",
    {
        "backbone": {
            "num_channels": 3, "embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic",
            "out_features": ["stage2"],
        },
        "num_labels": 10, "num_queries": 8, "d_model": 32, "encoder_layers": 1, "decoder_layers": 2,
        "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
        "dropout": 0.0,
    },
    DETR_DIGITS.preprocessing,
)  # fmt: skip


@pytest.fixture(scope="session")
def tiny() -> DetrModel:
    return TINY


@pytest.fixture(scope="session")
def detector() -> Detector:
    torch.manual_seed(0)
    made = TINY.build().eval()
    # random queries tell boxes and classes apart, which the initialization does not
    torch.nn.init.normal_(made.detr.model.query_position_embeddings.weight)
    torch.nn.init.normal_(made.detr.class_labels_classifier.weight)
    return made


@pytest.fixture(scope="session")
def scenes() -> torch.Tensor:
    return DetectionDigits("calibration").read(range(6))[0]


@pytest.fixture(scope="session")
def quantized(detector: Detector, scenes: torch.Tensor) -> ptq.QuantizedModel:
    """Calibrated at W6A6; tests that change its state restore it."""
    return ptq.calibrate(detector, scenes, method="ptq4vit", w_bits=6, a_bits=6, n=12)


@pytest.fixture
def coco(tmp_path: Path) -> Callable[..., Path]:
    """Writes a folder in COCO's layout: two images with an object each; a change is made to the annotations first."""

    def write(change: Callable[[dict[str, Any]], object] = lambda content: None, split: str = "val2017") -> Path:
        rng = np.random.default_rng(0)
        (tmp_path / split).mkdir()
        (tmp_path / "annotations").mkdir(exist_ok=True)
        content: dict[str, Any] = {"images": [], "annotations": [], "categories": [{"id": 3, "name": "three"}]}
        for number, (width, height) in enumerate([(50, 40), (30, 60)]):
            name = f"{number:012}.png"
            Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(tmp_path / split / name)
            content["images"].append({"id": 10 + number, "file_name": name, "width": width, "height": height})
            content["annotations"].append(
                {"id": 1 + number, "image_id": 10 + number, "category_id": 3, "bbox": [1.5, 2.0, 20.0, 30.0]}
            )
        change(content)
        (tmp_path / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
        return tmp_path

    return write
