"""The size of the images that a network takes."""

from __future__ import annotations

from torch import nn


def input_size(network: nn.Module) -> tuple[int, int, int]:
    """Channels, height and width of the images that a network takes: its own word first, then that of its weights."""
    channels, *sides = getattr(network, "input_size", None) or _pretrained(network) or (3, 224, 224)
    height, width = getattr(getattr(network, "patch_embed", None), "img_size", None) or sides
    return int(channels), int(height), int(width)


def _pretrained(network: nn.Module) -> tuple[int, int, int] | None:
    size: tuple[int, int, int] | None = getattr(network, "pretrained_cfg", {}).get("input_size")
    return size
