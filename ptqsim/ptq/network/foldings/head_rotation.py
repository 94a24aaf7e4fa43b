"""Rotations of the channels of Q with K, and of V, within every head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ptqsim.ptq.network.checkpoint_versions import WITH_ROTATIONS
from ptqsim.ptq.network.foldings.parameters import layer_with, rotated
from ptqsim.ptq.network.foldings.protocol import Parts


@dataclass(frozen=True, eq=False)
class HeadRotation:
    """Channels of Q and K of every head rotated together, and those of V, whose rotation the projection takes back.

    Attributes
    ----------
    qkv, proj : str
        Names of the linear layers: the one that gives Q, K and V, one after the other, and the one that reads P V.
    scores, values : float tensor [D, D]
        Orthogonal matrices for the D channels of a head, of Q and K, and of V.
    """

    qkv: str
    proj: str
    scores: torch.Tensor
    values: torch.Tensor

    @property
    def version(self) -> int:
        """First version of checkpoints whose readers know it."""
        return WITH_ROTATIONS

    def move(self, parts: Parts) -> None:
        """Change the parameters in place; a ValueError where the network has no such layers."""
        size = len(self.values)
        qkv: Any = parts.modules.get(self.qkv)
        weight = getattr(qkv, "weight", None)
        if not isinstance(weight, nn.Parameter) or len(weight) % (3 * size):
            raise ValueError(
                f"heads of {size} channels were to be rotated in {self.qkv!r}, and the network has no such layer: name "
                "the network that it was calibrated from"
            )
        proj = layer_with(parts.modules, self.proj, len(weight) // 3)
        matrices = torch.stack([self.scores, self.scores, self.values]).double().to(weight.device)  # of Q, K and V
        for tensor in (weight, qkv.bias):
            if tensor is not None:
                heads = tensor.double().reshape(3, -1, size, tensor[0].numel())
                tensor.copy_((matrices.transpose(1, 2)[:, None] @ heads).reshape(tensor.shape))
        proj.weight.copy_(rotated(proj.weight, self.values.double()))

    def written(self) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """Plain data, and tensors by name."""
        return {"qkv": self.qkv, "proj": self.proj, "rotated": True}, {"fold": self.scores, "values": self.values}

    @classmethod
    def is_written_as(cls, entry: Mapping[str, Any]) -> bool:
        """True if the plain data is that of this kind."""
        return "qkv" in entry and bool(entry.get("rotated"))

    @classmethod
    def read(cls, entry: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> HeadRotation:
        """The rotation that :meth:`written` wrote."""
        return cls(entry["qkv"], entry["proj"], tensors["fold"], tensors["values"])
