"""The weight and the bias of a normalization layer moved into the next linear layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from ptqsim.ptq.calibration.folds.norm_fold import NormFold
from ptqsim.ptq.calibration.folds.uses import FoldableNorm


@dataclass(frozen=True, kw_only=True)
class NormIntoWeights(NormFold):
    """A normalization layer without gain and offset of its own: they are moved into the next linear layers.

    With y = g x + o, W y + b = (W diag(g)) x + (W o + b).  What is quantized then is x, whose channels have a variance
    of about 1 each.  The gain keeps its sign, and where it is zero its channel keeps the gain; the offset stays where
    constants cannot be moved.
    """

    name: ClassVar[str] = "norm_into_weights"

    def moved(self, norm: FoldableNorm) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The magnitude of the gain, and the offset."""
        magnitude = norm.gain.abs()
        return torch.where(magnitude > 0, magnitude, torch.ones_like(magnitude)), norm.offset
