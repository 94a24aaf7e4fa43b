"""The protocol of foldings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import torch
from torch import nn


@dataclass(frozen=True)
class Parts:
    """Everything in a network that a folding may change, by name.

    Attributes
    ----------
    modules : dict of str to nn.Module
    parameters : dict of str to nn.Parameter
    """

    modules: dict[str, nn.Module]
    parameters: dict[str, nn.Parameter]

    @classmethod
    def of(cls, model: nn.Module) -> Parts:
        """The parts of a network."""
        return cls(dict(model.named_modules()), dict(model.named_parameters()))


class AnyFolding(Protocol):
    """Parameters of a network replaced, so that its function stays the same but for rounding."""

    @property
    def version(self) -> int:
        """First version of checkpoints whose readers know it."""

    def move(self, parts: Parts) -> None:
        """Change the parameters in place; a ValueError where the network has no such layers."""

    def written(self) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """Plain data, and tensors by name."""

    @classmethod
    def is_written_as(cls, entry: Mapping[str, Any]) -> bool:
        """True if the plain data is that of this kind."""

    @classmethod
    def read(cls, entry: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Self:
        """The folding that :meth:`written` wrote."""
