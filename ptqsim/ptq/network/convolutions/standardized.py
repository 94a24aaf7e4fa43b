"""timm's variants of layers as operations: padding by the size of the image, and weights that are standardized."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import nn
from torch.nn import functional as F

from ptqsim.ptq.network.convolutions.operation import ConvOperation
from ptqsim.ptq.network.products.operations import LinearOperation
from ptqsim.ptq.network.timm_classes import timm_class


def same_padding(name: str, conv: nn.Module) -> ConvOperation:
    """For ``Conv2dSame``."""
    assert isinstance(conv, nn.Conv2d)
    return ConvOperation(name, conv, same=True)


def standardized(name: str, conv: nn.Module) -> ConvOperation:
    """For convolutions whose weight is brought to mean 0 and variance 1 per channel, which is done here, once."""
    assert isinstance(conv, nn.Conv2d)
    gain = getattr(conv, "gain", None)
    with torch.no_grad():
        rows = F.batch_norm(
            conv.weight.reshape(1, conv.out_channels, -1),
            None,
            None,
            weight=None if gain is None else (gain * conv.scale).view(-1),
            training=True,
            momentum=0.0,
            eps=float(conv.eps),  # type: ignore[arg-type]
        )
    weight = nn.Parameter(rows.reshape_as(conv.weight))
    return ConvOperation(name, conv, weight=weight, same=bool(getattr(conv, "same_pad", False)))


def plain_linear(name: str, linear: nn.Module) -> LinearOperation:
    """For timm's ``Linear``, which differs in scripts alone."""
    assert isinstance(linear, nn.Linear)
    return LinearOperation(name, linear)


_ADAPTERS: Final = {
    "conv2d_same.Conv2dSame": same_padding,
    "std_conv.StdConv2d": standardized,
    "std_conv.StdConv2dSame": standardized,
    "std_conv.ScaledStdConv2d": standardized,
    "std_conv.ScaledStdConv2dSame": standardized,
    "linear.Linear": plain_linear,
}


def layer_adapters() -> dict[type[nn.Module], Callable[[str, nn.Module], nn.Module]]:
    """The operations that take the place of these layers, by the class of timm."""
    found = {timm_class(f"layers.{path}"): made for path, made in _ADAPTERS.items()}
    return {kind: made for kind, made in found.items() if kind is not None}
