"""The task of a network, which defines how its outputs are compared."""

from __future__ import annotations

from typing import ClassVar, Protocol

import torch
from torch import nn
from torch.nn import functional as F

from ptqsim.ptq.network.attention.adapters import Adapters, classification_adapters
from ptqsim.ptq.network.input_size import input_size
from ptqsim.ptq.network.tasks.embedding import Embedding
from ptqsim.ptq.network.tasks.gradients import Gradient, task_loss


class Task(Protocol):
    """A task; a network that does not show its own has it as its attribute ``task``, see :func:`task_of`."""

    name: ClassVar[str]
    """Under which data sets and measures know it."""

    def adapters(self) -> Adapters:
        """The operations that take the place of the network's attention modules, by the class of these."""
        ...

    def channels(self, network: nn.Module) -> tuple[int, ...]:
        """Numbers of channels that images may have."""
        ...

    def check_outputs(self, network: nn.Module, outputs: object, images: int) -> None:
        """Refuse outputs that are not of this task with a ValueError."""
        ...

    def loss(self, outputs: torch.Tensor, gradient: Gradient, generator: torch.Generator) -> torch.Tensor:
        """The loss whose gradient the Hessian guided metric takes, summed over the images.

        Parameters
        ----------
        outputs : float tensor [N, ...]
            Outputs of the float network.
        gradient : {"pseudo_label", "sampled", "released"}
            The labels of the task loss, as there are no true ones.
        generator : torch.Generator
            Source of what is drawn, on the CPU.
        """
        ...

    def traced_loss(self, outputs: torch.Tensor) -> torch.Tensor:
        """The loss whose Hessian is traced for mixed precision, summed over the images."""
        ...

    def divergence(self, outputs: torch.Tensor, exact: torch.Tensor) -> torch.Tensor:
        """Divergence of outputs from those of the float network, float64 [N]; zero where they are equal."""
        ...


class Classification:
    """One class per image; outputs are logits [N, classes]."""

    name: ClassVar[str] = "classification"

    def adapters(self) -> Adapters:
        return classification_adapters()

    def channels(self, network: nn.Module) -> tuple[int, ...]:
        return (input_size(network)[0],)

    def check_outputs(self, network: nn.Module, outputs: object, images: int) -> None:
        """Refuse features, tokens, tuples and dictionaries with a ValueError; legal are logits [N, classes]."""
        legal = "legal is a classifier, from images to logits [N, classes]"
        advice = (
            "give the network a head (num_classes=...), or set its num_classes to 0 if it gives one vector per image"
        )
        classes = getattr(network, "num_classes", None)
        if not isinstance(outputs, torch.Tensor):
            raise ValueError(
                f"the model gives a {type(outputs).__name__}; {legal}: wrap it in a module that returns these"
            )
        if outputs.ndim != 2 or len(outputs) != images:
            raise ValueError(f"the model gives outputs {tuple(outputs.shape)} for {images} images; {legal}: {advice}")
        if isinstance(classes, int) and outputs.shape[1] != classes:
            raise ValueError(
                f"the model has num_classes={classes} and gives {outputs.shape[1]} values per image; {legal}: {advice},"
                " or set model.num_classes if these are its logits"
            )

    def loss(self, outputs: torch.Tensor, gradient: Gradient, generator: torch.Generator) -> torch.Tensor:
        return task_loss(outputs, gradient, generator)

    def traced_loss(self, outputs: torch.Tensor) -> torch.Tensor:
        return task_loss(outputs, Gradient.PSEUDO_LABEL, torch.Generator())

    def divergence(self, outputs: torch.Tensor, exact: torch.Tensor) -> torch.Tensor:
        """Kullback-Leibler divergence KL(float || quantized) of every image's class probabilities, in nats."""
        return kl_divergence(outputs, exact)


def kl_divergence(logits: torch.Tensor, exact: torch.Tensor) -> torch.Tensor:
    """Kullback-Leibler divergence KL(softmax(exact) || softmax(logits)) over the last axis, in nats.

    Parameters
    ----------
    logits, exact : float tensor [..., classes]

    Returns
    -------
    float64 tensor [...]
        NaN where a logit is NaN.
    """
    log_q, log_p = (each.double().log_softmax(dim=-1) for each in (logits, exact))
    return F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(dim=-1).clamp(min=0)  # not less by rounding


def task_of(network: nn.Module) -> Task:
    """The task of a network: its own word, or else an embedding if it has no head, and classification if it has."""
    own: Task | None = getattr(network, "task", None)
    if own is not None:
        return own
    return Embedding() if getattr(network, "num_classes", None) == 0 else Classification()


def check_outputs(network: nn.Module, outputs: object, images: int) -> None:
    """Refuse outputs of a network that are not of its task with a ValueError."""
    task_of(network).check_outputs(network, outputs, images)
