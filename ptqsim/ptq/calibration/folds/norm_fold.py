"""Base of folds that move factors and constants out of normalization layers."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import nn

from ptqsim.ptq.calibration.folds.uses import FoldableNorm, foldable_norms
from ptqsim.ptq.network.foldings.norm_folding import Folding


class NormFold(ABC):
    """A rule that gives factors, and constants, for the channels of a normalization layer's output."""

    def foldings(self, model: nn.Module, images: torch.Tensor) -> list[Folding]:
        """Factors and constants of every layer that they can be moved out of."""
        return [Folding(norm.name, norm.linears, *self.moved(norm)) for norm in foldable_norms(model, images)]

    @abstractmethod
    def moved(self, norm: FoldableNorm) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Positive factors [C] that the outputs are divided by, and constants [C] that are subtracted before.

        Parameters
        ----------
        norm : FoldableNorm
            What was seen of the layer and of its readers, over the calibration images.

        Returns
        -------
        factors, constants : float64 tensor [C], and the same or None
            No constants where there are none, or where ``norm.offset`` is None.
        """
