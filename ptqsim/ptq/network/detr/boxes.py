"""Boxes: conversions and overlap.  All are [..., 4]."""

from __future__ import annotations

import torch


def corners(boxes: torch.Tensor) -> torch.Tensor:
    """Center x, center y, width, height -> left, top, right, bottom."""
    center, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([center - half, center + half], dim=-1)


def centered(boxes: torch.Tensor) -> torch.Tensor:
    """Left, top, width, height -> center x, center y, width, height."""
    return torch.cat([boxes[..., :2] + boxes[..., 2:] / 2, boxes[..., 2:]], dim=-1)


def generalized_iou(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Generalized intersection over union (Rezatofighi et al., CVPR 2019) of boxes given by their centers.

    Leading axes broadcast: ``one[..., :, None, :]`` with ``other[..., None, :, :]`` gives all pairs.
    """
    # Not torchvision.ops: it takes the area of a box from its corners instead of its sides, and so rounds most values
    # and gradients to other bits, with which the bundled detector would not have been trained.
    a, b = corners(one), corners(other)
    shared = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(dim=-1)
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).prod(dim=-1)
    union = one[..., 2:].prod(dim=-1) + other[..., 2:].prod(dim=-1) - shared
    tiny = torch.finfo(union.dtype).eps
    return shared / union.clamp(min=tiny) - (hull - union) / hull.clamp(min=tiny)
