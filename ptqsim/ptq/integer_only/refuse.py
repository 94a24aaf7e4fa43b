"""Errors for what has no integer unit."""

from __future__ import annotations

from typing import Any, Final

from torch import nn

from ptqsim.ptq.network.timm_classes import timm_class

IDLE: Final = (nn.Identity, nn.Dropout)
_IDLE_OF_TIMM: Final = ("layers.drop.DropPath",)
_NORMS_OF_TIMM: Final = ("layers.norm.LayerNorm",)


def no_unit(name: str, module: nn.Module, why: str = "") -> ValueError:
    """The error for a module that has no integer unit."""
    return ValueError(
        f"module {name!r} is a {type(module).__name__}{' ' + why if why else ''}, for which there is no integer unit; "
        "integer-only networks are timm's ViT, DeiT and Swin with LayerNorm and GELU, SiLU, QuickGELU or ReLU: "
        "calibrate it without an integer-only network, and run it in mode 'integer'"
    )


def check_type(name: str, module: Any, *paths: str) -> None:
    """Refuse a module that is not exactly of one of these classes of timm."""
    if type(module) not in [timm_class(path) for path in paths]:
        raise no_unit(name, module)


def check_idle(name: str, module: Any) -> None:
    """Refuse a module that does something in evaluation."""
    if type(module) not in (*IDLE, *map(timm_class, _IDLE_OF_TIMM)):
        raise no_unit(name, module)


def is_norm(name: str, module: Any) -> bool:
    """True for a LayerNorm over the last axis, false for an identity; anything else is refused."""
    if type(module) is nn.Identity:
        return False
    if type(module) not in (nn.LayerNorm, *map(timm_class, _NORMS_OF_TIMM)) or len(module.normalized_shape) != 1:
        raise no_unit(name, module)
    return True


def check_norm(name: str, module: Any) -> None:
    """Refuse anything but a LayerNorm over the last axis."""
    if not is_norm(name, module):
        raise no_unit(name, module, "in place of a normalization")
