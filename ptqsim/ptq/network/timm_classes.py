"""Classes of timm by name, without importing it: a network that has one has imported it."""

from __future__ import annotations

import sys

from torch import nn


def timm_class(path: str) -> type[nn.Module] | None:
    """The class at a path within timm, such as ``layers.mlp.Mlp``; None where it isn't, or timm was not imported."""
    module, _, name = path.rpartition(".")
    return getattr(sys.modules.get(f"timm.{module}"), name, None)
