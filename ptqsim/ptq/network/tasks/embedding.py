"""The task of feature extractors, whose outputs are compared by direction."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from ptqsim.ptq.network.attention.adapters import Adapters, classification_adapters
from ptqsim.ptq.network.input_size import input_size
from ptqsim.ptq.network.tasks.gradients import Gradient


class Embedding:
    """One vector per image, of which only the direction counts; outputs are [N, width]."""

    name: ClassVar[str] = "embedding"

    def adapters(self) -> Adapters:
        return classification_adapters()

    def channels(self, network: nn.Module) -> tuple[int, ...]:
        return (input_size(network)[0],)

    def check_outputs(self, network: nn.Module, outputs: object, images: int) -> None:
        """Refuse tokens, maps, tuples and dictionaries with a ValueError; legal are vectors [N, width]."""
        legal = "legal is a feature extractor, from images to vectors [N, width] of at least 2 values"
        advice = "have the network pool its tokens (global_pool=...)"
        if not isinstance(outputs, torch.Tensor):
            raise ValueError(f"the model gives a {type(outputs).__name__}; {legal}: {advice}")
        if outputs.ndim != 2 or len(outputs) != images or outputs.shape[1] < 2:
            raise ValueError(f"the model gives outputs {tuple(outputs.shape)} for {images} images; {legal}: {advice}")

    def loss(self, outputs: torch.Tensor, gradient: Gradient, generator: torch.Generator) -> torch.Tensor:
        """A random projection <v, z> of the normalized embedding z = y / ||y||, summed over the images.

        The loss of the task is the squared error L = ||z - z_FP||^2, which is stationary at the float network: its
        gradient with respect to an output O is zero there, and its Hessian is 2 J^T J with J = dz/dO, the
        Gauss-Newton matrix.  The Hessian guided metric needs the diagonal of that in place of the squared gradient.
        With entries of v that are independent, of mean 0 and variance 1, E[v v^T] = I and so

            E[(J^T v)^2] = diag(J^T J),

        and J^T v is the gradient of <v, z>.  One v of random signs is drawn for every image; what it misses averages
        out over images and positions, as with labels drawn from a softmax, whose squared gradients are in expectation
        the diagonal of the Fisher information.

        Parameters
        ----------
        outputs : float tensor [N, width]
            Of the float network.
        gradient : {"pseudo_label", "sampled", "released"}
            ``sampled`` and ``pseudo_label`` are the same, as an embedding has no label.  ``released`` is the squared
            error from itself, as the released code has it for logits; its gradient is zero.
        generator : torch.Generator
            Source of v, on the CPU.
        """
        if gradient == Gradient.RELEASED:
            return self.traced_loss(outputs)
        signs = torch.randint(0, 2, outputs.shape, generator=generator, dtype=torch.int8) * 2 - 1
        return (normalized(outputs) * signs.to(outputs.device, outputs.dtype)).sum()

    def traced_loss(self, outputs: torch.Tensor) -> torch.Tensor:
        """The squared error from itself: zero with a zero gradient, and the Hessian 2 J^T J."""
        found = normalized(outputs)
        return (found - found.detach()).square().sum()

    def divergence(self, outputs: torch.Tensor, exact: torch.Tensor) -> torch.Tensor:
        """Squared error of every image's normalized embedding: 2 (1 - cosine)."""
        return (normalized(outputs.double()) - normalized(exact.double())).square().sum(dim=1)


def normalized(outputs: torch.Tensor) -> torch.Tensor:
    """Outputs [N, width] at length 1; those of length 0 stay so."""
    return F.normalize(outputs, dim=1)
