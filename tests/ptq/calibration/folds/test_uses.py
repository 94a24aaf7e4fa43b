"""The normalization layers that are found to be read by linear layers alone, and those that are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ptqsim.ptq.calibration.folds.uses import foldable_norms


class Little(nn.Module):
    """A norm, two linear layers, and whatever else a test does with the norm's output."""

    def __init__(self, use: Callable[[Any, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm = nn.LayerNorm(4)
        self.one, self.two, self.alone = nn.Linear(4, 3), nn.Linear(4, 3), nn.Linear(4, 4)
        self.use = use

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.use(self, images.flatten(2))


IMAGES = torch.randn(11, 3, 2, 2, generator=torch.Generator().manual_seed(1))

READ: dict[str, Callable[[Any, torch.Tensor], torch.Tensor]] = {
    "one": lambda m, x: m.one(m.norm(x)),
    "both": lambda m, x: m.one(y := m.norm(x)) + m.two(y),
    "reshaped": lambda m, x: m.one(m.norm(x).reshape(-1, 3, 1, 4).permute(0, 2, 1, 3).contiguous().view(-1, 3, 4)),
    "shifted": lambda m, x: m.one(torch.roll(m.norm(x), 1, dims=1)),
    "padded": lambda m, x: m.one(F.pad(m.norm(x), (0, 0, 1, 2))),
    "asked for its shape": lambda m, x: m.one(y := m.norm(x)) * y.shape[1] * y.size(0) * y.dim(),
    "from a list of arguments": lambda m, x: F.linear(input=m.norm(x), weight=m.one.weight),
}
OTHERWISE: dict[str, Callable[[Any, torch.Tensor], torch.Tensor]] = {
    "added": lambda m, x: m.one(y := m.norm(x)) + y.sum(),
    "concatenated": lambda m, x: m.one(torch.cat([m.norm(x), x])),
    "returned": lambda m, x: m.norm(x),
    "returned beside": lambda m, x: (m.one(y := m.norm(x)), {"features": y}),  # type: ignore[dict-item, return-value]
    "indexed": lambda m, x: m.one(m.norm(x)[:, 0]),
    "a linear layer that reads something else": lambda m, x: m.one(m.norm(x)) + m.one(x),
    "a matrix product without a layer": lambda m, x: m.one(y := m.norm(x)) + F.linear(y, torch.ones(3, 4)),
    "a weight of a linear layer": lambda m, x: m.one(y := m.norm(x)) + F.linear(y, y[0]),
    "a norm of it": lambda m, x: m.one(y := m.norm(x)) + F.layer_norm(y, (4,)).sum(),
    "channels moved": lambda m, x: m.alone(m.norm(x[:, :, :, None].expand(-1, 3, 4, 4)).permute(0, 1, 3, 2)),
    "channels reshaped": lambda m, x: F.linear(m.norm(x).reshape(-1, 6, 2), m.one.weight[:, :2]),
    "channels shifted": lambda m, x: m.one(torch.roll(m.norm(x), 1, dims=2)),
    "channels shifted, counted from the end": lambda m, x: m.one(torch.roll(m.norm(x), 1, dims=-1)),
    "everything shifted": lambda m, x: m.one(torch.roll(m.norm(x), 1)),
    "channels padded": lambda m, x: m.one(F.pad(m.norm(x), (1, 0))[..., :4]),
    "padded with ones": lambda m, x: m.one(F.pad(m.norm(x), (0, 0, 1, 2), value=1.0)),
    "padded by reflection": lambda m, x: m.one(F.pad(m.norm(x), (0, 0, 1, 1), mode="reflect")),
    "read by nothing": lambda m, x: (m.norm(x), m.one(x))[1],
}


@pytest.mark.parametrize("use", READ)
def test_read_by_linear_layers_alone(use: str) -> None:
    model = Little(READ[use])
    (found,) = foldable_norms(model, IMAGES)
    linears = ("one", "two") if use == "both" else ("one",)
    assert (found.name, found.linears) == ("norm", linears)
    expected = model.norm(IMAGES.flatten(2)).abs().amax(dim=(0, 1))
    assert torch.equal(found.outputs, expected.double())
    weights = torch.cat([getattr(model, name).weight for name in linears]).abs().amax(dim=0)
    assert torch.equal(found.weights, weights.double())


@pytest.mark.parametrize("use", OTHERWISE)
def test_read_otherwise(use: str) -> None:
    assert foldable_norms(Little(OTHERWISE[use]), IMAGES) == []


def test_a_layer_that_two_modules_share() -> None:
    for name in ("norm", "one"):
        model = Little(READ["one"])
        other = nn.LayerNorm(4) if name == "norm" else nn.Linear(4, 3)
        other.weight = getattr(model, name).weight
        model.other = other
        assert foldable_norms(model, IMAGES) == []


def test_a_norm_without_weights() -> None:
    model = Little(READ["one"])
    model.norm = nn.LayerNorm(4, elementwise_affine=False)
    assert foldable_norms(model, IMAGES) == []


def test_one_of_several_batches_is_enough_to_rule_a_layer_out() -> None:
    model = Little(lambda m, x: m.one(y := m.norm(x)) + (y.sum() if len(x) < 8 else 0.0))
    assert foldable_norms(model, IMAGES[:8]) != []
    assert foldable_norms(model, IMAGES) == []
