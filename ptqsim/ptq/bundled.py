"""The bundled models: what they are and where their weights lie."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class BundledModel:
    """A model that ships in the package, with its weights.

    Attributes
    ----------
    name : str
        What the CLI's ``--model`` calls it.
    timm_class : str
        Class of timm's ``vision_transformer`` module.
    arguments : dict
        Arguments of that class.
    """

    name: str
    timm_class: str
    arguments: dict[str, Any] = field(hash=False)

    @property
    def weights(self) -> Path:
        """The safetensors file in the package."""
        return Path(str(files("ptqsim.ptq") / "bundled" / f"{self.name}.safetensors"))

    def build(self) -> nn.Module:
        """The model with timm's own random initialization; seed torch to make it reproducible."""
        from timm.models import vision_transformer

        model: nn.Module = getattr(vision_transformer, self.timm_class)(**self.arguments)
        return model


# 65 tokens, 6 blocks, 3 heads of 32: DeiT-Ti's proportions at half its width, 0.69 M parameters
VIT_DIGITS: Final = BundledModel(
    "vit_digits",
    "VisionTransformer",
    {
        "img_size": 32,
        "patch_size": 4,
        "num_classes": 100,
        "embed_dim": 96,
        "depth": 6,
        "num_heads": 3,
    },
)

BUNDLED: Final[dict[str, BundledModel]] = {model.name: model for model in (VIT_DIGITS,)}
