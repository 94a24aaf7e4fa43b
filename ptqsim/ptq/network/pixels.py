"""Images as 8-bit pixels, and integer-only execution of a quantized model on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

import ptqsim as pq
from ptqsim.errors import ArgumentTypeError
from ptqsim.integer_only import Plan, execute

_LEVELS = 255.0


def run_plan(plan: Plan, images: object, accumulators: Mapping[str, pq.Accumulator]) -> torch.Tensor:
    """Logits, int64 [N, classes], of pixels, uint8 [N, C, H, W]."""
    if not isinstance(images, torch.Tensor):
        raise ArgumentTypeError(
            f"images are a {type(images).__name__}; legal is a uint8 tensor [N, C, H, W]: try torch.from_numpy"
        )
    return torch.from_numpy(execute(plan, images.detach().cpu().numpy(), accumulators))


def as_pixels(images: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """The pixels that normalized images were made from.

    Parameters
    ----------
    images : float tensor [B, C, H, W]
    mean, std : sequence of float
        Per channel.

    Returns
    -------
    uint8 tensor [B, C, H, W]

    Raises
    ------
    ValueError
        If a value lies between two pixels, or outside of their range, and so was not made from one.
    """
    shape = (1, -1, 1, 1)
    m, s = (torch.tensor(one, dtype=torch.float64).reshape(shape) for one in (mean, std))
    levels = (images.detach().cpu().double() * s + m) * _LEVELS
    nearest = levels.round()
    off = float((levels - nearest).abs().max())
    if off > 0.01 or float(nearest.min()) < 0 or float(nearest.max()) > _LEVELS:
        raise ValueError(
            f"images are no normalized 8-bit pixels (mean {tuple(mean)}, std {tuple(std)}): a value lies {off:.3g} of "
            "a level off, or outside of 0 to 255; an integer-only network takes pixels, as uint8"
        )
    return nearest.to(torch.uint8)
