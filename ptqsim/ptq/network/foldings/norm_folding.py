"""Factors and constants moved from a normalization layer into the linear layers that read its output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ptqsim.ptq.network.checkpoint_versions import VERSION, WITH_LATER_FIELDS
from ptqsim.ptq.network.foldings.parameters import layer_with, shift
from ptqsim.ptq.network.foldings.protocol import Parts


@dataclass(frozen=True, eq=False)
class Folding:
    """Channels y of the output of a normalization layer replaced by (y - constant) / factor, the next layers to match.

    Attributes
    ----------
    norm : str
        Name of the normalization layer.
    linears : tuple of str
        Names of all layers that read its output; they are linear and read nothing else.
    factors : float tensor [C]
        Positive, one per channel.
    constants : float tensor [C] or None
        None for zeros.
    """

    norm: str
    linears: tuple[str, ...]
    factors: torch.Tensor
    constants: torch.Tensor | None = None

    @property
    def version(self) -> int:
        """First version of checkpoints whose readers know it."""
        return VERSION if self.constants is None else WITH_LATER_FIELDS

    def move(self, parts: Parts) -> None:
        """Change the parameters in place; a ValueError where the network has no such layers."""
        norm = layer_with(parts.modules, self.norm, len(self.factors))
        factors = self.factors.to(norm.weight)
        linears = [layer_with(parts.modules, name, len(self.factors)) for name in self.linears]
        if self.constants is not None:
            shift(norm, linears, self.constants)
        norm.weight.div_(factors)
        if getattr(norm, "bias", None) is not None:
            norm.bias.div_(factors)
        for linear in linears:
            linear.weight.mul_(factors)

    def written(self) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """Plain data, and tensors by name."""
        tensors = {"fold": self.factors}
        if self.constants is not None:
            tensors["shift"] = self.constants
        return {"norm": self.norm, "linears": list(self.linears)}, tensors

    @classmethod
    def is_written_as(cls, entry: Mapping[str, Any]) -> bool:
        """True if the plain data is that of this kind."""
        return "norm" in entry

    @classmethod
    def read(cls, entry: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Folding:
        """The folding that :meth:`written` wrote."""
        return cls(entry["norm"], tuple(entry["linears"]), tensors["fold"], tensors.get("shift"))
