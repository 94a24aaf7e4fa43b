"""Centering of the channels that a normalization layer puts out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from ptqsim.common.choice import Choice
from ptqsim.ptq.calibration.folds.norm_fold import NormFold
from ptqsim.ptq.calibration.folds.uses import FoldableNorm


class Center(Choice):
    """The value of a channel that becomes zero."""

    MIDDLE = "middle"
    MEAN = "mean"


@dataclass(frozen=True, kw_only=True)
class Centering(NormFold):
    """A constant taken off every channel of a normalization layer's output, and added to the next biases instead.

    Symmetric codes lose a part of their range where a channel lies more on one side of zero.  The constant c of a
    channel is taken off the layer's bias, and the biases of the next linear layers become b + W c.  RepQ-ViT (Li et
    al., ICCV 2023, section 3.2) moves the zero points of channels in this way.

    Attributes
    ----------
    center : Center or {"middle", "mean"}
        The constant: the middle between the least and the greatest value over the calibration images, or the mean.
    """

    center: Center | str = Center.MIDDLE
    name: ClassVar[str] = "centering"

    def __post_init__(self) -> None:
        object.__setattr__(self, "center", Center.of(self.center, "center"))

    def moved(self, norm: FoldableNorm) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Factors of 1, and the constants."""
        factors = torch.ones_like(norm.mean)
        if norm.offset is None:
            return factors, None
        return factors, norm.mean if self.center == Center.MEAN else (norm.lowest + norm.greatest) / 2
