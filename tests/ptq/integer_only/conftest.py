"""Small networks without floats, from random weights."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from ptqsim import ptq
from tests.ptq.networks import HALF


@pytest.fixture(scope="session")
def pixel_model(model: nn.Module) -> Any:
    """The small network, which says how its images are normalized."""
    made = copy.deepcopy(model)
    made.pretrained_cfg = HALF  # type: ignore[assignment]
    return made


@pytest.fixture(scope="session")
def integer_only(pixel_model: nn.Module, images: torch.Tensor) -> ptq.QuantizedModel:
    """Calibrated at W8A8 with every unit at its default; tests that change its state restore it."""
    made = ptq.calibrate(pixel_model, images, method="percentile", integer_only=True)
    made.mode = "integer_only"
    return made


@pytest.fixture(scope="session")
def pixels(images: torch.Tensor) -> torch.Tensor:
    return ptq.as_pixels(images, *HALF.values())
