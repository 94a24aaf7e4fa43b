"""Rules for the formats of operands that hold beside those of a method: granularity, symmetry, and formats by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ptqsim.common.choice import Choice
from ptqsim.errors import ArgumentTypeError, unknown_name
from ptqsim.ptq.calibration.rounding.fit import Fit
from ptqsim.ptq.network.products.operations import MatmulOperation
from ptqsim.ptq.search.operand_formats import KINDS, NAMED_FORMATS, NamedFormat


class Granularity(Choice):
    """Number of scales of a weight: one for all of it, or one for each output channel."""

    TENSOR = "tensor"
    CHANNEL = "channel"


@dataclass(frozen=True)
class OperandRules:
    """Rules for the formats of operands.

    Attributes
    ----------
    granularity : Granularity
        Number of scales of a weight.
    a_symmetric : bool
        False for activations with zero points.
    fit : Fit or None
        The accumulator that no input of a layer with weights shall overflow.
    formats : tuple of pairs of str
        Kinds of operands, and the names of the formats that they have in place of the method's.
    """

    granularity: Granularity = Granularity.TENSOR
    a_symmetric: bool = True
    formats: tuple[tuple[str, str], ...] = ()
    fit: Fit | None = None

    def named(self, op: MatmulOperation, side: str) -> tuple[str, NamedFormat] | None:
        """Kind and format of an operand whose format was named; None where the method has its own."""
        kind = kind_of(op, side)
        name = dict(self.formats).get(kind)
        return None if name is None else (kind, NAMED_FORMATS[name])

    def about(self) -> dict[str, Any]:
        """Rules that differ from those by default, as plain data."""
        about: dict[str, Any] = {}
        if self.granularity != Granularity.TENSOR:
            about["w_granularity"] = str(self.granularity)
        if not self.a_symmetric:
            about["a_symmetric"] = False
        if self.formats:
            about["formats"] = dict(self.formats)
        if self.fit is not None:
            about["fit"] = self.fit.to_dict()
        return about


def kind_of(op: MatmulOperation, side: str) -> str:
    """The kind of the operand of a side, ``a`` or ``b``."""
    if side == "b":
        return "activation" if op.constant_b is None else "weight"
    return "activation" if op.a_kind == "uniform" else op.a_kind


def checked_formats(
    formats: Mapping[str, str] | None, granularity: Granularity, w_bits: int, a_bits: int
) -> tuple[tuple[str, str], ...]:
    """Formats by kind of operand, in the order of the kinds.

    Raises
    ------
    TypeError
        For what is no mapping of names.
    ValueError
        For an unknown kind or name, a format that no operand of the kind can have or that is too wide for a datapath,
        and weights that have scales per channel and a format that has none.
    """
    if formats is None:
        return ()
    if not isinstance(formats, Mapping):
        raise ArgumentTypeError(
            f"formats are {formats!r}; legal is a mapping from kinds of operands to names: try {{'gelu': 'e3m4'}}"
        )
    named = named_kinds(formats)
    for kind, name in named:
        bits = w_bits if kind == "weight" else a_bits
        if bits > (most := NAMED_FORMATS[name].most_bits):
            raise ValueError(
                f"format {name!r} was given for operands of kind {kind!r} at {bits} bits, whose integers are wider "
                f"than a datapath takes; legal is up to {most} bits: try a_bits={most}"
            )
    weight = formats.get("weight", "uniform")
    if granularity == Granularity.CHANNEL and weight != "uniform":
        raise ValueError(
            f"weights of format {weight!r} were to have a scale per channel; legal is 'uniform', or "
            "w_granularity='tensor' (--w-granularity tensor)"
        )
    return named


def named_kinds(formats: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Kinds of operands and names of formats, in the order of the kinds; what is not legal is a ValueError."""
    for kind, name in formats.items():
        if kind not in KINDS:
            raise unknown_name("kind of operand", kind, KINDS)
        if name not in NAMED_FORMATS:
            raise unknown_name("format", name, NAMED_FORMATS)
        if kind not in NAMED_FORMATS[name].kinds:
            legal = ", ".join(named.name for named in NAMED_FORMATS.values() if kind in named.kinds)
            raise ValueError(f"format {name!r} was given for operands of kind {kind!r}; legal are {legal}")
    return tuple((kind, formats[kind]) for kind in KINDS if kind in formats)


def written_kinds(formats: Iterable[tuple[str, str]]) -> str:
    """Formats by kind as one text, ``kind=name,kind=name``."""
    return ",".join(f"{kind}={name}" for kind, name in formats)


def read_kinds(text: str) -> dict[str, str]:
    """The formats by kind that `written_kinds` wrote; none of a text that has no ``=``."""
    return dict(part.split("=") for part in text.split(",")) if "=" in text else {}
