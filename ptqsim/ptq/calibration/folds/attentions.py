"""The attention modules that have nothing between their layers and their products."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from torch import nn

from ptqsim.ptq.network.timm_classes import timm_class

_CLASSES: Final = ("layers.attention.Attention", "models.swin_transformer.WindowAttention")
"""Modules of timm that have nothing but a scale between their layer and their products."""
_BETWEEN: Final = ("q_norm", "k_norm", "norm")
"""Sub-modules of these that have to do nothing."""


def plain_attentions(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Names and modules of all attention that does no more to Q, K and P V than to multiply them.

    They have linear layers ``qkv`` and ``proj`` that no other module shares, no normalized or rotated queries, no gate,
    and no norm before the projection.
    """
    kinds = tuple(kind for path in _CLASSES if (kind := timm_class(path)) is not None)
    users = Counter(id(p) for _, p in model.named_parameters(remove_duplicate=False))
    for name, module in model.named_modules():
        if type(module) not in kinds or getattr(module, "gate", None) is not None:
            continue
        parts = [getattr(module, part, None) for part in ("qkv", "proj")]
        plain = all(isinstance(getattr(module, part, nn.Identity()), nn.Identity) for part in _BETWEEN)
        own = all(type(part) is nn.Linear and users[id(part.weight)] == 1 for part in parts)
        if plain and own and parts[0].out_features == 3 * parts[1].in_features:  # type: ignore[union-attr]
            yield name, module
