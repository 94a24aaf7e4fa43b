"""The size of the images that a network takes."""

from __future__ import annotations

import torch
from torch import nn


def input_size(network: nn.Module) -> tuple[int, int, int]:
    """Channels, height and width of the images that a network takes.

    A network that has an ``input_size`` of its own, such as a detector, decides.  Else channels are those of its first
    convolution; height and width are its patch embedding's, or else those that its weights were trained with.
    """
    own: tuple[int, int, int] | None = getattr(network, "input_size", None)
    if own is not None:
        return own
    trained, *sides = (getattr(network, "pretrained_cfg", None) or {}).get("input_size") or (3, 224, 224)
    height, width = getattr(getattr(network, "patch_embed", None), "img_size", None) or sides
    return _first_channels(network) or int(trained), int(height), int(width)


def _first_channels(network: nn.Module) -> int | None:
    """Channels that the first convolution takes, also where an operation stands for it; None without one."""
    for module in network.modules():
        weight = getattr(module, "weight", None)
        if isinstance(weight, torch.Tensor) and weight.ndim == 4:
            return int(weight.shape[1]) * (module.groups if isinstance(module, nn.Conv2d) else 1)
    return None
