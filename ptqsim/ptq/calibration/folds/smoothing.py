"""Smoothing of the channels that a normalization layer puts out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import torch

from ptqsim.errors import ArgumentTypeError
from ptqsim.ptq.calibration.folds.norm_fold import NormFold
from ptqsim.ptq.calibration.folds.uses import FoldableNorm

MOST: Final = 2.0**12
"""Largest factor, relative to the geometric mean of all, and the inverse of the smallest."""


@dataclass(frozen=True, kw_only=True)
class Smoothing(NormFold):
    """Channels of large magnitude made smaller, and the next weights larger by the same factors.

    A few channels of a LayerNorm's output are often far larger than the others, and one scale for all of them leaves
    the others few codes.  Channel c is divided by ``max|x_c|**power / max|w_c|**weight_power``, in units of the
    geometric mean over all channels.  SmoothQuant (Xiao et al., ICML 2023, Eq. 4) has power = alpha and weight_power =
    1 - alpha; the scale reparameterization of RepQ-ViT (Li et al., ICCV 2023, section 3.2) has power = 1 and
    weight_power = 0.

    Attributes
    ----------
    power : float
        Exponent of the outputs' magnitudes, 0 to 1.
    weight_power : float
        Exponent of the weights' magnitudes, 0 to 1.
    """

    power: float = 0.5
    weight_power: float = 0.0
    name: ClassVar[str] = "smoothing"

    def __post_init__(self) -> None:
        for field in ("power", "weight_power"):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ArgumentTypeError(f"{field} must be a number, got {value!r}")
            if not 0 <= value <= 1:
                raise ValueError(f"{field} is {value}; legal is 0 to 1: try 0.5")

    def moved(self, norm: FoldableNorm) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The factors; no constants."""
        return self.factors(norm.outputs, norm.weights), None

    def factors(self, outputs: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """The factor of every channel; 1 for those whose outputs or weights are all zero."""
        used = (outputs > 0) & (weights > 0)
        logs = self.power * torch.log2(outputs[used]) - self.weight_power * torch.log2(weights[used])
        factors = torch.ones_like(outputs)
        if len(logs):
            factors[used] = torch.exp2(logs - logs.mean()).clamp(1 / MOST, MOST)
        return factors
