"""Images that a network may be given."""

from __future__ import annotations

import torch
from torch import nn

from ptqsim.errors import ArgumentTypeError
from ptqsim.ptq.network.tasks.task import task_of


def check_images(images: object, network: nn.Module) -> None:
    """Refuse what is no finite batch [N, C, H, W] of the network's type and channels; the error says what is legal."""
    legal = "legal is a float tensor [N, C, H, W] with N of at least 1"
    if not isinstance(images, torch.Tensor):
        raise ArgumentTypeError(f"images are a {type(images).__name__}; {legal}: try torch.from_numpy")
    if not images.is_floating_point():
        raise ArgumentTypeError(f"images are a {tuple(images.shape)} tensor of {images.dtype}; {legal}")
    if images.ndim != 4 or len(images) == 0:
        raise ValueError(f"images are a {tuple(images.shape)} tensor of {images.dtype}; {legal}")
    bad = ~torch.isfinite(images).flatten(1).all(dim=1)
    if bad.any():
        first = int(bad.nonzero()[0])
        raise ValueError(
            f"{int(bad.sum())} of {len(images)} images hold NaN or infinite values, the first is image {first}: "
            "check the preprocessing"
        )
    parameter = next(network.parameters())
    if images.dtype != parameter.dtype:
        raise ValueError(
            f"images are {images.dtype}, and the model's parameters {parameter.dtype}; legal is the type of the model: "
            f"try images.to({parameter.dtype})"
        )
    channels = task_of(network).channels(network)
    if images.shape[1] not in channels:
        numbers = " or ".join(map(str, channels))
        raise ValueError(
            f"images have {images.shape[1]} channels, and the model takes {numbers}; legal is a float tensor "
            f"[N, {numbers}, H, W]"
        )
