"""Families of formats that a network is calibrated in, each at the widths that it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ptqsim.errors import unknown_name
from ptqsim.formats.blocks.named import BLOCKS as NAMED_BLOCKS

from ..framework import style
from ..methods.entries import Entry

_NO_TWINS: Final = {"softmax_twin": False, "gelu_twin": False}
_KINDS: Final = ("softmax", "gelu", "activation", "weight")


@dataclass(frozen=True)
class Family:
    """Formats of all operands of a network.

    Attributes
    ----------
    name : str
    look : Look
        Label, color, line and marker in pictures.
    widths : tuple of int
        Widths of weights and activations that it has.
    rules : mapping
        Fields of an :class:`~analysis.methods.entries.Entry`; the method is PTQ4ViT.
    scale_bits : float
        Bits that scales of blocks take for each value; scales of tensors and channels are not counted.
    """

    name: str
    look: style.Look
    widths: tuple[int, ...]
    rules: Mapping[str, Any]
    scale_bits: float = 0.0

    @property
    def entry(self) -> Entry:
        """The line of the comparison that calibrates a network in it, by PTQ4ViT's search and objective."""
        return Entry(f"formats.{self.name}", self.look.label, "ptq4vit", **self.rules)


_ANY: Final = (8, 6, 5, 4, 3)
_UNIFORM: Final = {"options": _NO_TWINS}
_CHANNEL: Final = {"w_granularity": "channel"}
_ASYMMETRIC: Final = {**_CHANNEL, "a_symmetric": False}


def _float(name: str, bits: int, color: str, marker: str) -> Family:
    label = name.upper()
    return Family(name, style.Look(label, color, "", marker), (bits,), {"formats": tuple((k, name) for k in _KINDS)})


def _blocks(name: str, marker: str) -> Family:
    made = NAMED_BLOCKS[name]
    look = style.Look(name.upper().replace("_E3M2", " (E3M2)"), style.GREY, "", marker)
    rules = {"formats": tuple((kind, name) for kind in _KINDS)}
    width = made.element.bits
    return Family(name, look, (width,), rules, made.bits_per_value - width)


FAMILIES: Final[dict[str, Family]] = {
    family.name: family
    for family in (
        Family("uniform", style.Look("Uniform", style.ORANGE, (0, (4, 1.5)), "s"), _ANY, _UNIFORM),
        Family("channel", style.Look("Uniform, weights per channel", style.VERMILION, (0, (2, 1)), "D"), _ANY,
               {**_UNIFORM, **_CHANNEL}),
        Family("asymmetric", style.Look("Uniform, asymmetric too", style.BLACK, (0, (4, 1.5, 1, 1.5)), "x"), _ANY,
               {**_UNIFORM, **_ASYMMETRIC}),
        Family("twin", style.Look("Twin", style.SKY, "-", "o"), _ANY, {}),
        Family("twin_channel", style.Look("Twin, weights per channel", style.BLUE, "-", "v"), _ANY, _CHANNEL),
        Family("log2", style.Look("Log 2 after softmax, asymmetric", style.PURPLE, (0, (1, 1)), "1"), _ANY[2:],
               {**_UNIFORM, **_ASYMMETRIC, "formats": (("softmax", "log2"),)}),
        Family("log", style.Look("Log $\\sqrt{2}$ after softmax, asymmetric", style.PURPLE, (0, (6, 1)), "^"), _ANY[1:],
               {**_UNIFORM, **_ASYMMETRIC, "formats": (("softmax", "log_sqrt2"),)}),
        _float("e4m3", 8, style.GREEN, "P"),
        _float("e5m2", 8, style.GREEN, "X"),
        _float("e3m4", 8, style.GREEN, "*"),
        _float("e3m2", 6, style.GREEN, "<"),
        _float("e2m3", 6, style.GREEN, ">"),
        _float("e2m1", 4, style.GREEN, "h"),
        _blocks("mxint8", "s"),
        _blocks("mxfp8", "P"),
        _blocks("mxfp6", ">"),
        _blocks("mxfp6_e3m2", "<"),
        _blocks("mxfp4", "h"),
        _blocks("nvfp4", "d"),
    )
}  # fmt: skip
"""In the order of the table. Small floats have one scale per operand and group, as uniform formats have; blocks have
scales of their own, and are summed in float32."""


def family(name: str) -> Family:
    """The family of that name; an unknown name is a ValueError that suggests the nearest."""
    if name not in FAMILIES:
        raise unknown_name("family of formats", name, FAMILIES)
    return FAMILIES[name]
