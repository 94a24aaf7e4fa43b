"""Factors moved between Q and K of every head, and between V and the projection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ptqsim.ptq.network.checkpoint_versions import WITH_LATER_FIELDS
from ptqsim.ptq.network.foldings.parameters import layer_with
from ptqsim.ptq.network.foldings.protocol import Parts


@dataclass(frozen=True, eq=False)
class HeadFolding:
    """Channels of Q divided by factors and those of K multiplied by them; channels of V likewise into the projection.

    Attributes
    ----------
    qkv, proj : str
        Names of the linear layers: the one that gives Q, K and V, one after the other, and the one that reads P V.
    scores : float tensor [C]
        Positive factors of the channels of Q.
    values : float tensor [C]
        Positive factors of the channels of V.
    """

    qkv: str
    proj: str
    scores: torch.Tensor
    values: torch.Tensor

    @property
    def version(self) -> int:
        """First version of checkpoints whose readers know it."""
        return WITH_LATER_FIELDS

    def move(self, parts: Parts) -> None:
        """Change the parameters in place; a ValueError where the network has no such layers."""
        scores, values = self.scores, self.values
        proj = layer_with(parts.modules, self.proj, len(values))
        qkv: Any = parts.modules.get(self.qkv)
        if qkv is None or getattr(qkv, "out_features", 0) != 3 * len(scores):
            raise ValueError(
                f"factors of {len(scores)} channels were to be moved between queries and keys of {self.qkv!r}, and the "
                "network has no such layer: name the network that it was calibrated from"
            )
        rows = torch.cat([1 / scores, scores, 1 / values]).to(qkv.weight)  # of Q, K and V
        qkv.weight.mul_(rows[:, None])
        if qkv.bias is not None:
            qkv.bias.mul_(rows)
        proj.weight.mul_(values.to(proj.weight))

    def written(self) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """Plain data, and tensors by name."""
        return {"qkv": self.qkv, "proj": self.proj}, {"fold": self.scores, "values": self.values}

    @classmethod
    def is_written_as(cls, entry: Mapping[str, Any]) -> bool:
        """True if the plain data is that of this kind."""
        return "qkv" in entry and not entry.get("rotated")

    @classmethod
    def read(cls, entry: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> HeadFolding:
        """The folding that :meth:`written` wrote."""
        return cls(entry["qkv"], entry["proj"], tensors["fold"], tensors["values"])
