"""Calibration methods, one module each, under one protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, fields
from typing import Any, Final

from ptqsim.errors import unknown_name
from ptqsim.ptq.calibration.methods.base_ptq import BasePTQ
from ptqsim.ptq.calibration.methods.bit_split import BitSplit
from ptqsim.ptq.calibration.methods.easyquant import EasyQuant
from ptqsim.ptq.calibration.methods.liu2021 import Liu2021
from ptqsim.ptq.calibration.methods.percentile import Percentile
from ptqsim.ptq.calibration.methods.protocol import Method
from ptqsim.ptq.calibration.methods.ptq4vit import PTQ4ViT
from ptqsim.ptq.calibration.methods.ptq4vit_plus import PTQ4ViTPlus
from ptqsim.ptq.calibration.methods.ptq4vit_released import ReleasedPTQ4ViT

__all__ = ["METHODS", "VARIANTS", "Method", "PTQ4ViT", "PTQ4ViTPlus", "make_method"]

MethodClass = (
    type[Percentile]
    | type[EasyQuant]
    | type[BasePTQ]
    | type[BitSplit]
    | type[Liu2021]
    | type[PTQ4ViT]
    | type[ReleasedPTQ4ViT]
)

METHODS: Final[dict[str, MethodClass]] = {
    m.name: m for m in (Percentile, EasyQuant, BasePTQ, BitSplit, Liu2021, PTQ4ViT, PTQ4ViTPlus)
}
"""By the name that ``--method`` takes, in the order of their years."""
VARIANTS: Final[dict[tuple[str, str], MethodClass]] = {(ReleasedPTQ4ViT.name, "released"): ReleasedPTQ4ViT}
"""What a paper's released code does instead, by method and ``--variant``; for comparison only."""
PAPER: Final = "paper"
"""The variant that every method has, and that is meant where none is named."""


def make_method(name: str, options: Mapping[str, Any], variant: str = PAPER) -> Method:
    """The method of that name with its options.

    Raises
    ------
    ValueError
        For an unknown name, variant or option (it suggests the nearest), or a value of another type or out of range.
    """
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    variants = {PAPER: METHODS[name]} | {v: made for (method, v), made in VARIANTS.items() if method == name}
    if variant not in variants:
        raise unknown_name(f"variant of method {name!r}", variant, variants)
    legal = {field.name: field for field in fields(variants[variant])}
    for option, value in options.items():
        if option not in legal:
            raise unknown_name(f"option of method {name!r}", option, legal)
        _check_type(name, legal[option], value)
    return variants[variant](**options)


def _check_type(method: str, option: Field[Any], value: object) -> None:
    """Refuse a value of another type than the option's default, which every option has."""
    kind = type(option.default)
    legal = {bool: "true or false", int: "an integer", float: "a number", str: "a name"}[kind]
    fits = isinstance(value, (int, float) if kind is float else kind) and isinstance(value, bool) == (kind is bool)
    if not fits:
        raise ValueError(
            f"option {option.name!r} of method {method!r} is {value!r}; legal is {legal}: the default is "
            f"{option.default!r}"
        )
