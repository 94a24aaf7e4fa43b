"""The task of a network, which defines how its outputs are compared."""

from __future__ import annotations

from typing import ClassVar, Protocol

import torch
from torch import nn
from torch.nn import functional as F

from ptqsim.ptq.network.adapters import ADAPTERS, Adapters
from ptqsim.ptq.network.gradients import Gradient, task_loss


class Task(Protocol):
    """A task; a network of another one than classification has it as its attribute ``task``."""

    name: ClassVar[str]
    """Under which data sets and measures know it."""

    def adapters(self) -> Adapters:
        """The operations that take the place of the network's attention modules, by the class of these."""
        ...

    def loss(self, outputs: torch.Tensor, gradient: Gradient, generator: torch.Generator) -> torch.Tensor:
        """The loss whose gradient the Hessian guided metric takes, summed over the images.

        Parameters
        ----------
        outputs : float tensor [N, ...]
            Of the float network.
        gradient : {"pseudo_label", "sampled", "released"}
            What takes the place of the labels.
        generator : torch.Generator
            Source of what is drawn, on the CPU.
        """
        ...

    def divergence(self, outputs: torch.Tensor, exact: torch.Tensor) -> float:
        """Divergence of outputs from those of the float network, summed over the images."""
        ...


class Classification:
    """One class per image; outputs are logits [N, classes]."""

    name: ClassVar[str] = "classification"

    def adapters(self) -> Adapters:
        return ADAPTERS

    def loss(self, outputs: torch.Tensor, gradient: Gradient, generator: torch.Generator) -> torch.Tensor:
        return task_loss(outputs, gradient, generator)

    def divergence(self, outputs: torch.Tensor, exact: torch.Tensor) -> float:
        """Cross-entropy with the float network's probabilities, in nats."""
        return float(F.cross_entropy(outputs.double(), exact.double().softmax(dim=1), reduction="sum"))


def task_of(network: nn.Module) -> Task:
    """The task of a network: its own word, or classification."""
    task: Task = getattr(network, "task", None) or Classification()
    return task
