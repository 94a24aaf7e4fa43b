"""Errors of a part's output weighed by a diagonal and a matrix of low rank that approximate the Fisher information."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Final

import torch
from torch import nn

from ptqsim.ptq.calibration.reconstruction.learned import LearnedOperation
from ptqsim.ptq.calibration.reconstruction.recorded import BATCH
from ptqsim.ptq.network.products.operations import MatmulOperation, Mode
from ptqsim.ptq.network.tasks.task import task_of

TEMPERATURE: Final = 20.0
"""Divisor of the logits in the divergence, as in FIMA-Q's released code."""


class LowRankFisher:
    """The quantization loss of FIMA-Q (Wu et al., CVPR 2025, arXiv 2506.11543), a diagonal plus a matrix of low rank.

    Each update runs the network, quantized up to the part, on all images.  It notes for every element of the output
    the means over the images of the magnitude of its error, d, and of the gradient of the divergence from the float
    network, g.  With the rows d and g of all updates so far as D and G, and e the magnitudes of errors now, the loss is

        1/2 mean(e G^T (D D^T)^-1 G e^T) / (that at the update) + 1/2 mean(e^2 mean(G)) / (that at the update).

    Parameters
    ----------
    model, exact : nn.Module
        The network as it is quantized, and the float one.
    part : str
        Name of the part.
    later : sequence of MatmulOperation
        Operations of the parts behind it, which run in float.
    images : float tensor [N, C, H, W]
    target : float tensor [N, ...]
        Output of the part in the float network.
    """

    def __init__(
        self,
        model: nn.Module,
        exact: nn.Module,
        part: str,
        later: Sequence[MatmulOperation],
        images: torch.Tensor,
        target: torch.Tensor,
    ) -> None:
        self.model, self.part, self.later, self.images, self.target = model, part, later, images, target
        with torch.no_grad():
            self.expected = [_softened(exact(batch)) for batch in images.split(BATCH)]
        self.gradients: list[torch.Tensor] = []
        self.errors: list[torch.Tensor] = []
        self.inverse = torch.zeros(0)
        self.units: tuple[torch.Tensor, ...] = ()

    def update(self, operations: Sequence[LearnedOperation]) -> None:
        """Add a row to both matrices, of the network as it is now, nothing dropped."""
        drops = [operation.drop for operation in operations]
        for operation in operations:
            operation.drop = 0.0
        error, gradient = self._means()
        for operation, drop in zip(operations, drops, strict=True):
            operation.drop = drop
        self.errors.append(error)
        self.gradients.append(gradient)
        rows = torch.stack(self.errors).double()
        self.inverse = torch.linalg.pinv(rows @ rows.T, hermitian=True).to(error)
        self.units = ()

    def loss(self, found: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """The loss of outputs for some of the images, about 1 at an update."""
        error = (found - self.target[chosen]).abs().flatten(1)
        gradients = torch.stack(self.gradients)
        along = error @ gradients.T
        low = ((along @ self.inverse) * along).sum(dim=1).mean()
        diagonal = (error.square() * gradients.mean(dim=0)).mean()
        if not self.units:
            self.units = tuple(one.detach().abs().clamp(min=1e-30) for one in (low, diagonal))
        return 0.5 * (low / self.units[0] + diagonal / self.units[1])

    def _means(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean magnitudes of the output's error and of the gradient there, each of all elements in a row."""
        outputs: list[torch.Tensor] = []
        errors, gradients, task = [], [], task_of(self.model)

        def seen(_module: nn.Module, _args: Any, out: torch.Tensor) -> torch.Tensor:
            outputs.append(out.detach().requires_grad_(True))
            return outputs[-1]

        with ExitStack() as stack, torch.enable_grad():
            stack.callback(self.model.get_submodule(self.part).register_forward_hook(seen).remove)
            for operation in self.later:
                stack.callback(setattr, operation, "mode", operation.mode)
                operation.mode = Mode.FLOAT
            at = 0
            for batch, expected in zip(self.images.split(BATCH), self.expected, strict=True):
                task.divergence(_softened(self.model(batch)), expected).sum().backward()
                out = outputs.pop()
                assert out.grad is not None
                errors.append((out.detach() - self.target[at : at + len(batch)]).abs().flatten(1).sum(dim=0))
                gradients.append(out.grad.abs().flatten(1).sum(dim=0))
                at += len(batch)
        return torch.stack(errors).sum(dim=0) / at, torch.stack(gradients).sum(dim=0) / at


def _softened(outputs: Any) -> Any:
    """Logits divided by the temperature; outputs that are not one tensor as they are."""
    return outputs / TEMPERATURE if isinstance(outputs, torch.Tensor) else outputs
