"""A small vision transformer with random weights, and images for it: quick, and enough for every property."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.overrides import TorchFunctionMode

from ptqsim import ptq
from ptqsim.ptq.datasets.compositing import normalize
from ptqsim.ptq.datasets.scenes import make_scenes
from tests.ptq.networks import vision_transformer


def tiny_vit() -> nn.Module:
    torch.manual_seed(0)
    return vision_transformer(
        img_size=32, patch_size=8, num_classes=10, embed_dim=32, depth=2, num_heads=2, init_values=None
    )


@pytest.fixture(scope="session")
def model() -> nn.Module:
    return tiny_vit()


@pytest.fixture
def own(model: nn.Module) -> Any:
    """A network to be changed."""
    return copy.deepcopy(model)


@pytest.fixture(scope="session")
def images() -> torch.Tensor:
    return normalize(make_scenes("calibration", 0, 8).images)


@pytest.fixture(scope="session")
def quantized(model: nn.Module, images: torch.Tensor) -> ptq.QuantizedModel:
    """Calibrated at W6A6; tests that change its state restore it."""
    return ptq.calibrate(model, images, method="ptq4vit", w_bits=6, a_bits=6, n=12)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes, three PNG images each, in ImageNet's layout."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for part in ("train", "val"):
        for label in ("cat", "dog"):
            (root / part / label).mkdir(parents=True)
            for i in range(3):
                pixels = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / part / label / f"{i}.png")
    return root


@pytest.fixture(scope="session")
def count_products() -> Callable[[], Any]:
    class CountProducts(TorchFunctionMode):
        """Counts the matrix products that a network asks torch for: an oracle that knows nothing of our wrapping."""

        PRODUCTS: ClassVar = {
            torch.nn.functional.linear, torch.nn.functional.conv2d, torch.conv2d, torch.matmul, torch.Tensor.matmul,
            torch.Tensor.__matmul__, torch.bmm, torch.einsum, torch.nn.functional.conv1d, torch.conv1d,
            torch.nn.functional.conv_transpose2d,
        }  # fmt: skip

        def __init__(self) -> None:
            super().__init__()
            self.count = 0

        def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            if func is torch.nn.functional.scaled_dot_product_attention:
                self.count += 2
            elif func in self.PRODUCTS:
                self.count += 1
            return func(*args, **(kwargs or {}))

    return CountProducts
