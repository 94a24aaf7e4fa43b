"""Registers that the values of blocks are added in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, TypeAlias

from ptqsim.common.choice import Choice
from ptqsim.common.validation import checked_integer
from ptqsim.datapath.order import MAX_REGISTER_BITS, MIN_REGISTER_BITS
from ptqsim.datapath.spec import OverflowMode
from ptqsim.errors import unknown_name
from ptqsim.formats.arrays.immutable import Constructed

MAX_WEIGHT = 1024
"""Largest magnitude of the exponent of a register's least bit."""

MAX_FRACTION_BITS, MAX_BLOCKS = 64, 1024


class Cut(Choice):
    """Treatment of the bits of a value below the least one of a register.

    ``cut``: dropped, which rounds toward negative infinity. ``half_even``: rounded to the nearest, half to even.
    """

    CUT = "cut"
    HALF_EVEN = "half_even"


@dataclass(frozen=True, slots=True)
class FixedPoint(Constructed):
    """A two's-complement register of P bits for the sums of blocks, whose least bit weighs 2**weight.

    Parameters
    ----------
    bits : int
        Width P, 2 to 63.
    weight : int
        Exponent of the least bit's weight, -1024 to 1024.
    overflow : OverflowMode or str
        An `OverflowMode`, or its name: "wrap", "saturate" or "trap".
    rounding : Cut or str
        A `Cut`, or its name: "cut" or "half_even".

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is out of its range.
    """

    bits: int
    weight: int
    overflow: OverflowMode = OverflowMode.WRAP
    rounding: Cut = Cut.CUT

    # Written out, because it takes more types than the fields have.
    def __init__(
        self, bits: int, weight: int, overflow: OverflowMode | str = OverflowMode.WRAP, rounding: Cut | str = Cut.CUT
    ) -> None:
        object.__setattr__(self, "bits", checked_integer("bits", bits, MIN_REGISTER_BITS, MAX_REGISTER_BITS))
        object.__setattr__(self, "weight", checked_integer("weight", weight, -MAX_WEIGHT, MAX_WEIGHT))
        object.__setattr__(self, "overflow", OverflowMode.of(overflow))
        object.__setattr__(self, "rounding", Cut.of(rounding, "rounding"))

    def __str__(self) -> str:
        return f"fixed:{self.bits}:{self.weight}:{self.overflow}:{self.rounding}"


@dataclass(frozen=True, slots=True)
class Float32(Constructed):
    """A register in float32: every value is rounded to it, and every sum, half to even."""

    def __str__(self) -> str:
        return "float32"


@dataclass(frozen=True, slots=True)
class AlignedFloat32(Constructed):
    """A register in float32 that takes the values of several blocks at once, aligned to the greatest of them.

    Each value, and what the register holds, is cut toward zero to a multiple of 2**(E - F), with E the greatest of
    their exponents; the sum of these is exact, and is cut toward zero to a float32.

    Parameters
    ----------
    fraction_bits : int
        Bits F that are kept below the greatest exponent, 1 to 64.
    blocks : int
        Values that are added at once, 1 to 1024.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is out of its range.
    """

    fraction_bits: int
    blocks: int = 1

    def __post_init__(self) -> None:
        bits = checked_integer("fraction_bits", self.fraction_bits, 1, MAX_FRACTION_BITS)
        object.__setattr__(self, "fraction_bits", bits)
        object.__setattr__(self, "blocks", checked_integer("blocks", self.blocks, 1, MAX_BLOCKS))

    def __str__(self) -> str:
        return f"aligned:{self.fraction_bits}:{self.blocks}"


BlockRegister: TypeAlias = FixedPoint | Float32 | AlignedFloat32

_KINDS: Final[Mapping[str, type[BlockRegister]]] = {
    "fixed": FixedPoint, "float32": Float32, "aligned": AlignedFloat32,
}  # fmt: skip


def parse_register(text: str) -> BlockRegister:
    """The register that a text stands for, as `str` gives it; options at its end may be left out.

    Parameters
    ----------
    text : str
        ``fixed:BITS:WEIGHT[:OVERFLOW[:ROUNDING]]``, ``float32``, or ``aligned:FRACTION_BITS[:BLOCKS]``.

    Raises
    ------
    ValueError
        If it cannot be read, or an option is not legal.
    """
    kind, *options = text.split(":")
    made = _KINDS.get(kind)
    given: list[Any] = [
        int(option) if option.lstrip("-").isdecimal() and option.isascii() else option for option in options
    ]
    try:
        if made is not None:
            return made(*given)
    except TypeError:
        pass  # the wrong number of options, or one that is no number
    raise ValueError(
        f"register {text!r} can't be read; legal are float32, fixed:BITS:WEIGHT[:OVERFLOW[:ROUNDING]] and "
        "aligned:FRACTION_BITS[:BLOCKS]: try fixed:32:-16:saturate"
    )


def register_to_dict(register: BlockRegister) -> dict[str, Any]:
    """A register as plain data: its kind and its fields."""
    kind = next(name for name, made in _KINDS.items() if isinstance(register, made))
    values = {field.name: getattr(register, field.name) for field in fields(register)}
    return {"kind": kind} | {name: str(v) if isinstance(v, Choice) else v for name, v in values.items()}


def register_from_dict(data: Mapping[str, Any]) -> BlockRegister:
    """The register that `register_to_dict` wrote.

    Raises
    ------
    ValueError
        If the kind is unknown, a field is missing or unknown, or a value is not legal.
    """
    options = dict(data)
    kind = options.pop("kind", None)
    if kind not in _KINDS:
        raise unknown_name("register", str(kind), _KINDS)
    try:
        return _KINDS[kind](**options)
    except TypeError as error:
        raise ValueError(
            f"cannot make a register of kind {kind!r} from the fields {sorted(options)}: {error}"
        ) from None
