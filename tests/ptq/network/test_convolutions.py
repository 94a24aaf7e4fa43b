"""Convolutions as operations: the products of im2col against torch's own, in every variant that timm has."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ptqsim import ptq
from ptqsim.ptq.network.wrapping.wrap import wrap


def of(module: str) -> Any:
    """A module of timm's layers, imported where a test needs it."""
    return import_module(f"timm.layers.{module}")


CONVOLUTIONS: dict[str, Callable[[], nn.Module]] = {
    "plain": lambda: nn.Conv2d(6, 8, 3, stride=2, padding=1),
    "pointwise": lambda: nn.Conv2d(6, 8, 1, bias=False),
    "grouped": lambda: nn.Conv2d(6, 9, (3, 2), groups=3, padding=(1, 0), dilation=2),
    "depthwise": lambda: nn.Conv2d(6, 6, 3, groups=6, padding=1),
    "multiplied": lambda: nn.Conv2d(6, 12, 3, groups=6, stride=2),
    "patches_in_groups": lambda: nn.Conv2d(6, 6, 2, stride=2, groups=2),
    "padded_by_name": lambda: nn.Conv2d(6, 4, (3, 2), padding="same", dilation=(1, 2)),
    "no_padding_by_name": lambda: nn.Conv2d(6, 4, 3, padding="valid"),
    "same": lambda: of("conv2d_same").Conv2dSame(6, 4, 3, stride=2),
    "same_depthwise": lambda: of("conv2d_same").Conv2dSame(6, 6, 5, stride=2, groups=6),
    "standardized": lambda: of("std_conv").StdConv2d(6, 4, 3),
    "standardized_same": lambda: of("std_conv").StdConv2dSame(6, 4, 3, stride=2),
    "scaled": lambda: of("std_conv").ScaledStdConv2d(6, 4, 3, groups=2),
    "scaled_same": lambda: of("std_conv").ScaledStdConv2dSame(6, 4, 3, stride=2),
    "transposed": lambda: nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1),
    "transposed_in_groups": lambda: nn.ConvTranspose2d(6, 12, (2, 3), stride=(3, 1), groups=3, dilation=(2, 1)),
}


class Rows(nn.Module):
    """A convolution along the pixels of every image, row after row."""

    def __init__(self, conv: nn.Conv1d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x.flatten(2)).unsqueeze(2)


ALONG: dict[str, Callable[[], nn.Module]] = {
    "one_axis": lambda: Rows(nn.Conv1d(6, 4, 3, stride=2, padding=1, dilation=2)),
    "one_axis_depthwise": lambda: Rows(nn.Conv1d(6, 6, 5, padding="same", groups=6)),
}


@pytest.fixture(params=CONVOLUTIONS | ALONG)
def network(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    conv = (CONVOLUTIONS | ALONG)[request.param]()
    found = nn.Sequential(conv, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.LazyLinear(5))
    found.input_size = (6, 9, 7)  # type: ignore[assignment]
    found(torch.zeros(1, 6, 9, 7))
    return found.eval().requires_grad_(False)


def test_the_product_is_the_convolution(network: nn.Module) -> None:
    images = torch.randn(3, 6, 9, 7)
    wrapped, operations = wrap(network)
    assert len(operations) == 2
    seen: list[torch.Size] = []
    for op in operations.values():
        op.observer = lambda op, a, b, out: seen.append(out.shape)
    torch.testing.assert_close(wrapped(images), network(images), rtol=1e-5, atol=1e-6)
    conv = next(iter(operations.values()))
    assert len(seen) == 2
    assert seen[0][0] == conv.groups[1]
    assert torch.equal(ptq.QuantizedModel(network)(images), network(images))


def test_integers_equal_the_reference_also_once_saved(network: nn.Module, tmp_path: Path) -> None:
    images = torch.randn(4, 6, 9, 7)
    quantized = ptq.calibrate(network, images, n=8, rounds=1)
    exact = network(images)
    quantized.mode = "integer"
    got = quantized(images)
    assert float((got - exact).norm() / exact.norm()) < 0.05
    checks = ptq.verify(quantized, images, outputs=12)
    assert all(check.mismatches == 0 for check in checks.values())
    quantized.save(tmp_path / "q.safetensors")
    again = ptq.load(tmp_path / "q.safetensors", network)
    again.mode = "integer"
    assert torch.equal(again(images), got)
    again.mode = "float"
    assert torch.equal(again(images), exact)


def test_channels_of_a_depthwise_convolution_have_scales_of_their_own() -> None:
    conv = nn.Conv2d(4, 4, 3, groups=4, padding=1, bias=False)
    factors = torch.tensor([1.0, 10.0, 100.0, 1000.0])
    conv.weight.data.copy_(torch.randn(1, 1, 3, 3).expand(4, 1, 3, 3) * factors[:, None, None, None])
    network = nn.Sequential(conv, nn.Flatten(), nn.Linear(64, 2)).eval()
    network.input_size = (4, 4, 4)  # type: ignore[assignment]
    formats = ptq.calibrate(network, torch.randn(4, 4, 4, 4), method="percentile").layers["0"].formats
    assert formats is not None
    scales = torch.tensor([fmt.scale for fmt in formats.b])
    torch.testing.assert_close(scales / scales[0], factors)


def test_other_paddings_are_refused() -> None:
    with pytest.raises(ValueError, match="operation '0' is a convolution with padding mode 'reflect'"):
        wrap(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")))


def test_the_linear_layer_of_timm_is_one() -> None:
    network = nn.Sequential(nn.Flatten(), of("linear").Linear(12, 3)).eval()
    _, operations = wrap(network)
    assert operations["1"].kind == "linear"


@pytest.mark.parametrize("kind", [nn.Conv1d, nn.ConvTranspose2d])
def test_a_convolution_with_a_hook_is_refused(kind: type[nn.Conv1d]) -> None:
    conv = kind(3, 4, 3)
    conv.register_forward_hook(lambda *_: None)
    with pytest.raises(ValueError, match="operation '0' has a forward hook"):
        wrap(nn.Sequential(conv))
