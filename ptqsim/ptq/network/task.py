"""The task of a network, which defines how its outputs are compared."""

from __future__ import annotations

from typing import ClassVar, Protocol

import torch
from torch import nn
from torch.nn import functional as F

from ptqsim.ptq.network.adapters import Adapters, classification_adapters
from ptqsim.ptq.network.gradients import Gradient, task_loss
from ptqsim.ptq.network.input_size import input_size


class Task(Protocol):
    """A task; a network of another one than classification has it as its attribute ``task``."""

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
        return classification_adapters()

    def channels(self, network: nn.Module) -> tuple[int, ...]:
        return (input_size(network)[0],)

    def check_outputs(self, network: nn.Module, outputs: object, images: int) -> None:
        """Refuse features, tokens, tuples and dictionaries with a ValueError; legal are logits [N, classes]."""
        legal = "legal is a classifier, from images to logits [N, classes]"
        advice = "give the network its head back (num_classes=...), as feature extractors are not quantized yet"
        classes = getattr(network, "num_classes", None)
        if classes == 0:
            raise ValueError(f"the model has num_classes=0 and gives features; {legal}: {advice}")
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

    def divergence(self, outputs: torch.Tensor, exact: torch.Tensor) -> float:
        """Cross-entropy with the float network's probabilities, in nats."""
        return float(F.cross_entropy(outputs.double(), exact.double().softmax(dim=1), reduction="sum"))


def task_of(network: nn.Module) -> Task:
    """The task of a network: its own word, or classification."""
    task: Task = getattr(network, "task", None) or Classification()
    return task


def check_outputs(network: nn.Module, outputs: object, images: int) -> None:
    """Refuse outputs of a network that are not of its task with a ValueError."""
    task_of(network).check_outputs(network, outputs, images)
