"""The layout of a detector's outputs."""

from __future__ import annotations

import torch


def split_outputs(outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs [..., classes + 5] -> logits [..., classes + 1] with "no object" last, and boxes [..., 4]."""
    return outputs[..., :-4], outputs[..., -4:]
