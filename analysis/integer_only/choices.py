"""Choices of integer units that are compared: which are in integers, and in what formulation and precision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ptqsim import ptq
from ptqsim.errors import unknown_name

from .alone import KINDS


@dataclass(frozen=True)
class Choice:
    """One line of the ladder.

    Attributes
    ----------
    name : str
        Key of the line.
    label : str
        As printed.
    options : mapping
        Arguments of `IntegerOnly.of`; what is not named has its default.
    kinds : tuple of str or None
        Kinds of units in integers, of :data:`analysis.integer_only.alone.KINDS`, in a network that is otherwise in
        integer mode: without any, integer mode itself. None for the integer-only network.
    """

    name: str
    label: str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    kinds: tuple[str, ...] | None = None

    def units(self) -> ptq.IntegerOnly:
        """The options of the plan."""
        return ptq.IntegerOnly.of(**self.options)

    def key(self) -> dict[str, Any]:
        """Everything that decides the result, as JSON values; the label does not."""
        return {"kinds": None if self.kinds is None else list(self.kinds), "units": self.units().to_dict()}


CONTROL: Final = Choice("integer", "Integer mode", kinds=())
"""The control of every other choice: integers in products alone."""

_ALONE: Final = {
    "pixels": "Alone: pixels of 8 bits",
    "residual": "Alone: residual",
    "layer_norm": "Alone: LayerNorm",
    "softmax": "Alone: softmax",
    "gelu": "Alone: GELU",
}

_TABLE: Final = {"entries": 16, "table_bits": 8}
_NORM: Final = {"precision": 8, "fraction": 8}


def _softmax(name: str, label: str, **options: Any) -> Choice:
    return Choice(f"softmax.{name}", f"Softmax: {label}", {"softmax": options})


def _gelu(name: str, label: str, **options: Any) -> Choice:
    return Choice(f"gelu.{name}", f"GELU: {label}", {"gelu": options})


def _norm(name: str, label: str, **options: Any) -> Choice:
    return Choice(f"layer_norm.{name}", f"LayerNorm: {label}", {"layer_norm": options})


def _residual(name: str, label: str, bits: int, scale: str = "free") -> Choice:
    return Choice(f"residual.{name}", f"Residual: {label}", {"residual_bits": bits, "residual_scale": scale})


def _together(name: str, label: str, softmax: str, gelu: str) -> Choice:
    return Choice(name, label, {"softmax": {"kind": softmax}, "gelu": {"kind": gelu}})


CHOICES: Final[dict[str, Choice]] = {
    choice.name: choice
    for choice in (
        CONTROL,
        *(Choice(f"alone.{kind}", _ALONE[kind], kinds=(kind,)) for kind in KINDS),
        Choice("all", "All units"),
        # then all units, with one of them varied
        _residual("12", "12 bits", 12),
        _residual("10", "10 bits", 10),
        _residual("8", "8 bits", 8),
        _residual("power_of_two", "16 bits, powers of two", 16, "power_of_two"),
        _residual("8.power_of_two", "8 bits, powers of two", 8, "power_of_two"),
        _residual("10.one", "10 bits, one scale", 10, "one"),
        _residual("8.one", "8 bits, one scale", 8, "one"),
        _softmax("table_16", "table of 16 entries of 8 bits", **_TABLE),
        _softmax("codes", "table, scores of 8 bits", score_bits=8),
        _softmax("running", "running maximum", kind="running_softmax"),
        _softmax("shiftmax", "Shiftmax (I-ViT)", kind="shiftmax"),
        _softmax("i_exp", "i-exp (I-BERT)", kind="i_exp_softmax"),
        _softmax("ita", "ITA", kind="ita_softmax"),
        _softmax("tflite", "TFLite, scores of 8 bits", kind="tflite_softmax"),
        _gelu("bits_10", "table, pre-activation of 10 bits", bits=10),
        _gelu("shift_gelu", "ShiftGELU (I-ViT)", kind="shift_gelu"),
        _gelu("i_gelu", "I-GELU (I-BERT)", kind="i_gelu"),
        _norm("bits", "root bit by bit", root="bits"),
        _norm("precision_8", "precision and fraction of 8 bits", **_NORM),
        Choice("multipliers.8", "Multipliers of 8 bits", {"multiplier_bits": 8}),
        # sets
        Choice(
            "small", "Residual 8, table 16 x 8, root 8", {"residual_bits": 8, "softmax": _TABLE, "layer_norm": _NORM}
        ),
        _together("ibert", "I-BERT's softmax and GELU", "i_exp_softmax", "i_gelu"),
        _together("ivit", "I-ViT's softmax and GELU", "shiftmax", "shift_gelu"),
    )
}
"""By name, in the order of the table."""


def choice(name: str) -> Choice:
    """The choice of that name; an unknown name is a ValueError that suggests the nearest."""
    if name not in CHOICES:
        raise unknown_name("choice of units", name, CHOICES)
    return CHOICES[name]
