"""Tensors at the borders of a part: its inputs and outputs, and the gradient of the task loss there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ptqsim.ptq.network.tasks.gradients import Gradient
from ptqsim.ptq.network.tasks.task import task_of

BATCH = 16


class _Reached(Exception):  # noqa: N818 - no error
    """The part was reached, and what comes after it need not run."""


@dataclass
class Arguments:
    """Arguments of a part beside its first one, which are the same for every image.

    Attributes
    ----------
    others : tuple
        Positional arguments after the first.
    named : dict
    """

    others: tuple[Any, ...] = ()
    named: dict[str, Any] | None = None

    def call(self, module: nn.Module, x: torch.Tensor) -> torch.Tensor:
        """The output of the part for an input."""
        found = module(x, *self.others, **(self.named or {}))
        if not isinstance(found, torch.Tensor):
            raise ValueError(
                f"a {type(module).__name__} gives a {type(found).__name__}; legal in reconstruction are parts of the "
                "network that give one tensor: try method='ptq4vit'"
            )
        return found


def inputs_of(network: nn.Module, name: str, images: torch.Tensor) -> tuple[torch.Tensor, Arguments]:
    """First arguments of a part, float tensor [N, ...], as the network is; and the other arguments."""
    module, arguments, seen = network.get_submodule(name), Arguments(), []

    def reached(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen.append(args[0].detach())
        arguments.others, arguments.named = args[1:], kwargs
        raise _Reached

    with _hooked(module.register_forward_pre_hook(reached, with_kwargs=True)), torch.no_grad():
        for batch in images.split(BATCH):
            try:
                network(batch)
            except _Reached:
                continue
            raise ValueError(f"{name!r} did not run: leave it out of the network")
    return torch.cat(seen), arguments


def outputs_of(network: nn.Module, name: str, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs of a part of the float network, and the gradient of the task loss with respect to them, both [N, ...].

    The task loss is the cross-entropy with the network's own prediction as the label.
    """
    module = network.get_submodule(name)
    outputs: list[torch.Tensor] = []
    gradients: list[torch.Tensor] = []

    def seen(_module: nn.Module, _args: Any, out: torch.Tensor) -> torch.Tensor:
        outputs.append(out.detach())
        out = out.detach().requires_grad_(True)
        out.register_hook(gradients.append)
        return out

    generator = torch.Generator()
    with _hooked(module.register_forward_hook(seen)), torch.enable_grad():
        for batch in images.split(BATCH):
            task_of(network).loss(network(batch), Gradient.PSEUDO_LABEL, generator).backward()
    return torch.cat(outputs), torch.cat(gradients)


@contextmanager
def _hooked(handle: torch.utils.hooks.RemovableHandle) -> Iterator[None]:
    try:
        yield
    finally:
        handle.remove()
