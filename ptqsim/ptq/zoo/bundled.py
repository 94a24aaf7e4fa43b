"""The bundled models: what they are and where their weights lie."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from torch import nn


# how timm's transforms bring an image to the range of a scene: -1 to 1
PREPROCESSING: Final[dict[str, Any]] = {
    "input_size": (3, 32, 32),
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
    "interpolation": "bicubic",
    "crop_pct": 1.0,
}


@dataclass(frozen=True)
class BundledModel:
    """A model that ships in the package, with its weights.

    Attributes
    ----------
    name : str
        Name for the CLI's ``--model``.
    timm_class : str
        Class of ``timm.models``.
    arguments : dict
        Arguments of that class.
    """

    name: str
    timm_class: str
    arguments: dict[str, Any] = field(hash=False)

    @property
    def weights(self) -> Path:
        """The safetensors file in the package."""
        return Path(str(files("ptqsim.ptq.zoo") / "parameters" / f"{self.name}.safetensors"))

    def build(self, **options: Any) -> nn.Module:
        """The model with timm's own random initialization; seed torch to make it reproducible.

        Parameters
        ----------
        **options : object
            Arguments of the class in place of the model's own.
        """
        from timm import models

        model: nn.Module = getattr(models, self.timm_class)(**(self.arguments | options))
        model.pretrained_cfg = PREPROCESSING  # type: ignore[assignment]
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

# one block less and a distillation token; begins with blocks of vit_digits and learns from it; 0.59 M parameters
DEIT_DIGITS: Final = BundledModel("deit_digits", "VisionTransformerDistilled", {**VIT_DIGITS.arguments, "depth": 5})

# two stages of 8x8 and 4x4 tokens in windows of 4x4, shifted in every other block of the first; 0.85 M parameters
SWIN_DIGITS: Final = BundledModel(
    "swin_digits",
    "SwinTransformer",
    {
        "img_size": 32,
        "patch_size": 4,
        "num_classes": 100,
        "embed_dim": 64,
        "depths": (4, 3),
        "num_heads": (2, 4),
        "window_size": 4,
        "drop_path_rate": 0.0,
    },
)

BUNDLED: Final[dict[str, BundledModel]] = {model.name: model for model in (VIT_DIGITS, DEIT_DIGITS, SWIN_DIGITS)}
