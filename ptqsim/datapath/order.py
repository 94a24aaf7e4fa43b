"""Orders of accumulation, and their text: ``sequential``, ``tree:16``, ``split:64:20``, ``split:2:16:saturate``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from ptqsim.common.choice import Choice
from ptqsim.common.validation import checked_integer
from ptqsim.errors import ArgumentTypeError, unknown_name
from ptqsim.formats.arrays.immutable import Constructed

MIN_REGISTER_BITS, MAX_REGISTER_BITS = 2, 63
_MAX_GROUP = (1 << 31) - 1
_LEGAL = ("sequential", "tree:LANES", "split:TILE:INNER_BITS", "split:TILE:INNER_BITS:INNER_OVERFLOW")


class OverflowMode(Choice):
    """Behavior of a register of P bits for a sum outside -2**(P-1) .. 2**(P-1) - 1.

    ``wrap`` keeps the low P bits (two's complement), ``saturate`` takes the nearest value that fits, ``trap`` raises
    `ptqsim.AccumulatorOverflowError`.
    """

    WRAP = "wrap"
    SATURATE = "saturate"
    TRAP = "trap"


@dataclass(frozen=True, slots=True)
class Sequential(Constructed):
    """Sequential addition: one product at a time, l = 0, 1, ..., is added to the register."""

    kind: ClassVar[str] = "sequential"

    def __str__(self) -> str:
        return self.kind

    @property
    def group(self) -> int:
        """Products per addition into the P-bit register."""
        return 1


@dataclass(frozen=True, slots=True)
class Tree(Constructed):
    """An adder tree: the exact sum of `lanes` consecutive products is added to the register at once.

    Parameters
    ----------
    lanes : int, optional
        Products per addition, positive; the last group may be smaller.
    """

    kind: ClassVar[str] = "tree"

    lanes: int = 16

    def __post_init__(self) -> None:
        object.__setattr__(self, "lanes", checked_integer("lanes", self.lanes, 1, _MAX_GROUP))

    def __str__(self) -> str:
        return f"{self.kind}:{self.lanes}"

    @property
    def group(self) -> int:
        """Products per addition into the P-bit register."""
        return self.lanes


@dataclass(frozen=True, slots=True)
class Split(Constructed):
    """Addition in tiles of the depth: each is summed in a tile register, which is then added to the P-bit register.

    The tile register starts every tile at zero.

    Parameters
    ----------
    tile : int, optional
        Products per tile, positive; the last tile may be smaller.
    inner_bits : int, optional
        Width of the tile register, 2 to 63.
    inner_overflow : OverflowMode or str, optional
        An `OverflowMode` of the tile register, or its name; by default the mode of the P-bit register.
    """

    kind: ClassVar[str] = "split"

    tile: int = 64
    inner_bits: int = 20
    inner_overflow: OverflowMode | None = None

    # Written out, because it takes more types than the fields have.
    def __init__(self, tile: int = 64, inner_bits: int = 20, inner_overflow: OverflowMode | str | None = None) -> None:
        object.__setattr__(self, "tile", checked_integer("tile", tile, 1, _MAX_GROUP))
        inner = checked_integer("inner_bits", inner_bits, MIN_REGISTER_BITS, MAX_REGISTER_BITS)
        object.__setattr__(self, "inner_bits", inner)
        mode = None if inner_overflow is None else OverflowMode.of(inner_overflow)
        object.__setattr__(self, "inner_overflow", mode)

    def __str__(self) -> str:
        own = "" if self.inner_overflow is None else f":{self.inner_overflow}"
        return f"{self.kind}:{self.tile}:{self.inner_bits}{own}"

    def __repr__(self) -> str:
        own = "" if self.inner_overflow is None else f", inner_overflow={self.inner_overflow!r}"
        return f"Split(tile={self.tile!r}, inner_bits={self.inner_bits!r}{own})"

    @property
    def group(self) -> int:
        """Products per addition into the P-bit register."""
        return self.tile


Order: TypeAlias = Sequential | Tree | Split

ORDERS: dict[str, type[Order]] = {order.kind: order for order in (Sequential, Tree, Split)}

# Numbers in the text form of an order.
_COUNTS: dict[type[Order], int] = {Sequential: 0, Tree: 1, Split: 2}


def parse_order(text: str) -> Order:
    """An order of accumulation from its text form; ``str(order)`` is the way back.

    Parameters
    ----------
    text : str
        ``sequential``, ``tree:LANES``, ``split:TILE:INNER_BITS``, or ``split:TILE:INNER_BITS:INNER_OVERFLOW`` for tiles
        with an overflow mode of their own.

    Returns
    -------
    Sequential, Tree or Split

    Raises
    ------
    TypeError
        If `text` is no string.
    ValueError
        If the text cannot be read, or a number is out of range.
    """
    if not isinstance(text, str):
        raise unknown_name("order", text, _LEGAL)
    name, *numbers = text.split(":")
    if name not in ORDERS:
        raise unknown_name("order", text, _LEGAL)
    kind: Any = ORDERS[name]
    own = [OverflowMode.of(numbers.pop())] if kind is Split and len(numbers) == _COUNTS[kind] + 1 else []
    try:
        counts = [int(number) for number in numbers]
    except ValueError:
        counts = None
    if counts is None or len(counts) != _COUNTS[kind]:
        raise ValueError(
            f"order {text!r} can't be read; legal are sequential, tree:LANES, split:TILE:INNER_BITS and "
            "split:TILE:INNER_BITS:INNER_OVERFLOW: try tree:16"
        )
    made: Order = kind(*counts, *own)
    return made


def as_order(order: object) -> Order:
    """The order that an object is, or that a text names.

    Raises
    ------
    TypeError
        If it is neither.
    ValueError
        If the text cannot be read.
    """
    if isinstance(order, Sequential | Tree | Split):
        return order
    if isinstance(order, str):
        return parse_order(order)
    raise ArgumentTypeError(
        f"order must be an object or a text, got {order!r}; legal are Sequential(), Tree(lanes=16), "
        "Split(tile=64, inner_bits=20), or 'sequential', 'tree:16', 'split:64:20'"
    )
