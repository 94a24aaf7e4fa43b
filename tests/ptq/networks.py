"""Networks of timm without trained weights; timm is imported when one is built, not when tests are collected."""

from __future__ import annotations

from typing import Any

from torch import nn

HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
"""Normalization of images that have values from -1 to 1, as a network states it."""


def timm_model(name: str, **options: Any) -> nn.Module:
    """A network that timm has a name for."""
    import timm

    return timm.create_model(name, pretrained=False, **options).eval()


def vision_transformer(**sizes: Any) -> nn.Module:
    """timm's vision transformer in sizes of the test's own."""
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(**sizes).eval()
