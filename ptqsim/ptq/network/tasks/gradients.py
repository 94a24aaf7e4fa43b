"""Weights of the Hessian guided metric: dL/dO, from four choices of the task loss.

With y_FP as soft labels, L = CE(y, y_FP) is stationary at the network's own output: its gradient is exactly zero.
PTQ4ViT's text leaves the labels open, so they are a choice here.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from ptqsim.common.choice import Choice


class Gradient(Choice):
    """The labels of the task loss whose gradient weighs errors: see :func:`task_loss` and :func:`random_gradient`."""

    PSEUDO_LABEL = "pseudo_label"
    SAMPLED = "sampled"
    RELEASED = "released"
    RANDOM = "random"


def task_loss(logits: torch.Tensor, gradient: Gradient, generator: torch.Generator) -> torch.Tensor:
    """The loss L whose gradient is taken, summed over the images.

    Parameters
    ----------
    logits : float tensor [N, classes]
        Logits of the float network.
    gradient : {"pseudo_label", "sampled", "released"}
        ``pseudo_label``: CE with the network's own arg max as label.  ``sampled``: CE with labels drawn from its
        softmax, whose squared gradient is, in expectation, the diagonal of the Fisher information (appendix Eq. 12).
        ``released``: KL(y, y) as in the paper's released code; its gradient is zero up to rounding.  ``random`` takes
        no loss: see :func:`random_gradient`.
    generator : torch.Generator
        Source of the sampled labels, on the CPU.
    """
    probabilities = logits.detach().softmax(dim=-1)
    if gradient == "released":
        return F.kl_div(logits.log_softmax(dim=-1), probabilities, reduction="batchmean")
    if gradient == "sampled":
        labels = torch.multinomial(probabilities.cpu(), 1, generator=generator).flatten().to(logits.device)
    else:
        labels = logits.detach().argmax(dim=-1)
    return F.cross_entropy(logits, labels, reduction="sum")


def random_gradient(out: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Standard normal values in place of the gradient: the control that every claim is shown beside."""
    return torch.randn(out.shape, generator=generator).to(out.device, out.dtype)
