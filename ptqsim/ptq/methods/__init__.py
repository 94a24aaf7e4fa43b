"""Calibration methods, one module each, under one protocol."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Final

from ptqsim.errors import unknown_name
from ptqsim.ptq.methods.base_ptq import BasePTQ
from ptqsim.ptq.methods.protocol import Method
from ptqsim.ptq.methods.ptq4vit import PTQ4ViT

__all__ = ["METHODS", "BasePTQ", "Method", "PTQ4ViT", "make_method"]

METHODS: Final[dict[str, type[BasePTQ] | type[PTQ4ViT]]] = {m.name: m for m in (BasePTQ, PTQ4ViT)}


def make_method(name: str, options: dict[str, Any]) -> Method:
    """The method of that name with its options; unknown names are ValueErrors that suggest the nearest."""
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    legal = [field.name for field in fields(METHODS[name])]
    for option in options:
        if option not in legal:
            raise unknown_name(f"option of method {name!r}", option, legal)
    return METHODS[name](**options)
