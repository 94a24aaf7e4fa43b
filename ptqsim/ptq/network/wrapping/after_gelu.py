"""Layers whose input is the output of a GELU, with nothing in between: found by the classes that say so.

A GELU at the end of one module and a layer at the beginning of the next are not found, except in a sequence: such a
layer is taken for uniform.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from torch import nn

from ptqsim.ptq.network.admission.alterations import alteration, left_out
from ptqsim.ptq.network.timm_classes import timm_class

GELUS: Final = (nn.GELU, "GELU", "GELUTanh", "QuickGELU")
"""Modules that compute a GELU, or an approximation of one by tanh or a sigmoid; names are those of timm's layers."""

_ENDING_IN_ACT: Final = tuple(
    f"layers.norm_act.{name}" for name in ("BatchNormAct2d", "LayerNormAct", "LayerNormAct2d")
)

Row = tuple[str, tuple[str, ...], str]

_WITHIN: Final[dict[str, tuple[Row, ...]]] = {
    "layers.mlp.Mlp": (("act", ("norm", "drop1"), "fc2"),),
    "layers.mlp.ConvMlp": (("act", ("drop",), "fc2"),),
    "models.efficientformer.ConvMlpWithNorm": (("act", ("drop",), "fc2"),),
    "models.fastvit.ConvMlp": (("act", ("drop",), "fc2"),),
    "models.inception_next.ConvMlp": (("act", ("drop",), "fc2"),),
    "models.levit.LevitMlp": (("act", ("drop",), "ln2"),),
    "models.maxxvit.MbConvBlock": (
        ("norm1", (), "conv2_kxk"),
        ("norm2", ("se_early", "se"), "conv3_1x1"),
    ),
    "models.pvt_v2.MlpWithDepthwiseConv": (("act", ("drop",), "fc2"),),
    "models.repvit.RepVitMlp": (("act", (), "conv2"),),
    "models.repvit.RepVitStem": (("act1", (), "conv2"),),
    "models.swiftformer.Mlp": (("act", ("drop",), "fc2"),),
    "models.tiny_vit.MBConv": (("act1", (), "conv2"), ("act2", (), "conv3")),
    "models.tiny_vit.NormMlp": (("act", ("drop1",), "fc2"),),
    "models.tiny_vit.PatchEmbed": (("act", (), "conv2"),),
    "models.tiny_vit.PatchMerging": (("act1", (), "conv2"), ("act2", (), "conv3")),
    "models.visformer.SpatialMlp": (("act1", ("drop1",), "conv2"),),
}
"""By class of timm: activations, what has to be an identity behind each, and the layer that follows."""


def layers_after_gelu(model: nn.Module) -> set[str]:
    """Names of the fully-connected layers and convolutions behind a GELU."""
    known = {kind: rows for path, rows in _WITHIN.items() if (kind := timm_class(path)) is not None}
    found: set[str] = set()
    for name, module in model.named_modules():
        prefix = f"{name}." if name else ""
        if type(module) is nn.Sequential:
            found.update(prefix + inner for inner in _in_sequence(module))
        if type(module) not in known or alteration(module, type(module)) is not None:
            continue
        for act, between, layer in known[type(module)]:
            follows = getattr(module, layer, None)
            if follows is not None and _is_gelu(getattr(module, act, None)) and left_out(module, between) is None:
                found.update(prefix + inner for inner in _first_layers(layer, follows))
    return found


def _is_gelu(module: nn.Module | None) -> bool:
    """True for a GELU that nothing has altered, also as the end of a normalization."""
    if module is None or alteration(module, type(module)) is not None:
        return False
    if type(module) in map(timm_class, _ENDING_IN_ACT):
        return _is_gelu(module.act)  # type: ignore[arg-type]
    of_timm = type(module).__module__.startswith("timm.layers.activations") and type(module).__name__ in GELUS
    return type(module) is nn.GELU or of_timm


def _in_sequence(sequence: nn.Sequential) -> Iterator[str]:
    """Names of the layers in a sequence that follow a GELU in it, passing over dropout and identities."""
    after = False
    for name, module in sequence.named_children():
        if after:
            yield from _first_layers(name, module)
        idle = type(module) in (nn.Dropout, nn.Identity) and alteration(module, type(module)) is None
        after = _is_gelu(module) or (after and idle)


def _first_layers(name: str, module: nn.Module) -> Iterator[str]:
    """The name of a layer, or of the first layer of a sequence."""
    if isinstance(module, nn.Linear | nn.Conv2d):
        yield name
    elif isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward and len(module):
        first, inner = next(module.named_children())
        yield from _first_layers(f"{name}.{first}", inner)
