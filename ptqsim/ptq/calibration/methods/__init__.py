"""Calibration methods, one module each, under one protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final, cast

from ptqsim.errors import ArgumentTypeError, unknown_name
from ptqsim.ptq.calibration.methods.base_ptq import BasePTQ
from ptqsim.ptq.calibration.methods.bit_split import BitSplit
from ptqsim.ptq.calibration.methods.easyquant import EasyQuant
from ptqsim.ptq.calibration.methods.liu2021 import Liu2021
from ptqsim.ptq.calibration.methods.percentile import Percentile
from ptqsim.ptq.calibration.methods.protocol import Method
from ptqsim.ptq.calibration.methods.ptq4vit import PTQ4ViT
from ptqsim.ptq.calibration.methods.ptq4vit_plus import PTQ4ViTPlus
from ptqsim.ptq.calibration.methods.ptq4vit_released import ReleasedPTQ4ViT
from ptqsim.ptq.calibration.methods.reconstruct import Reconstruct

__all__ = [
    "METHODS", "VARIANTS", "BasePTQ", "BitSplit", "EasyQuant", "Liu2021", "Method", "PTQ4ViT", "PTQ4ViTPlus",
    "Percentile", "Reconstruct", "ReleasedPTQ4ViT", "make_method", "variant_of",
]  # fmt: skip

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
    m.name: m for m in (Percentile, EasyQuant, BasePTQ, BitSplit, Liu2021, PTQ4ViT, PTQ4ViTPlus, Reconstruct)
}
"""By the name that ``--method`` takes, in the order of their years."""
VARIANTS: Final[dict[tuple[str, str], MethodClass]] = {(ReleasedPTQ4ViT.name, "released"): ReleasedPTQ4ViT}
"""Methods as the papers' released code has them, by method and ``--variant``; for comparison only."""
PAPER: Final = "paper"
"""The variant that every method has, and that is meant where none is named."""


def make_method(method: str | Method, options: Mapping[str, Any], variant: str = PAPER) -> Method:
    """The method of that name with its options; an object is a method already, and takes no more of them.

    Raises
    ------
    TypeError
        For what is neither a name nor one of the methods, for an object with options or a variant beside it, and for an
        option of another type.
    ValueError
        For an unknown name, variant or option (it suggests the nearest), or a value out of range.
    """
    if not isinstance(method, str):
        return _made(method, options, variant)
    name = method
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    variants = {PAPER: METHODS[name]} | {v: made for (method, v), made in VARIANTS.items() if method == name}
    if variant not in variants:
        raise unknown_name(f"variant of method {name!r}", variant, variants)
    legal = [field.name for field in fields(variants[variant])]
    for option in options:
        if option not in legal:
            raise unknown_name(f"option of method {name!r}", option, legal)
    return variants[variant](**options)


def _made(method: object, options: Mapping[str, Any], variant: str) -> Method:
    legal = ", ".join(made.__name__ for made in (*METHODS.values(), *VARIANTS.values()))
    if not isinstance(method, (*METHODS.values(), *VARIANTS.values())):
        raise ArgumentTypeError(
            f"the method is {method!r}; legal are a name ({', '.join(METHODS)}) and an object of one of the classes "
            f"{legal}: try ptq.PTQ4ViT()"
        )
    given = [*options, *([] if variant == PAPER else ["variant"])]
    if given:
        raise ArgumentTypeError(
            f"{', '.join(given)} was given beside the method {method!r}; legal is to set options where the method is "
            f"made: try ptq.{type(method).__name__}({', '.join(f'{name}=...' for name in given)})"
        )
    return cast("Method", method)


def variant_of(method: Method) -> str:
    """The variant that makes the method: ``"paper"``, or the name of another."""
    return next((variant for (_, variant), made in VARIANTS.items() if type(method) is made), PAPER)
