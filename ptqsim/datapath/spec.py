"""The specification of a multiply-accumulate unit: register width, overflow, order and alignment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, TypeAlias

from ptqsim.choice import Choice
from ptqsim.errors import unknown_name
from ptqsim.formats.immutable import Constructed
from ptqsim.validation import checked_integer

MIN_REGISTER_BITS, MAX_REGISTER_BITS = 2, 63
_MAX_GROUP = (1 << 31) - 1


class OverflowMode(Choice):
    """Behavior of a register of P bits for a sum outside -2**(P-1) .. 2**(P-1) - 1.

    ``wrap`` keeps the low P bits (two's complement), ``saturate`` takes the nearest value that fits, ``trap`` raises
    `ptqsim.AccumulatorOverflowError`.
    """

    WRAP = "wrap"
    SATURATE = "saturate"
    TRAP = "trap"


class Alignment(Choice):
    """Place of the shift of a twin format in the datapath (PTQ4ViT, Eq. 5).

    ``product``: after the multiplier, before the addition. ``operand``: before the multiplier. The exact product that
    is added is the same in both, so their results are equal; the hardware is not. ``deferred``: one register per
    range (per pair of ranges, if both operands are twin), which adds products without any shift; the registers are
    shifted and summed once, at the end, in an adder wide enough for the result.
    """

    PRODUCT = "product"
    OPERAND = "operand"
    DEFERRED = "deferred"


@dataclass(frozen=True, slots=True)
class Sequential(Constructed):
    """One product at a time, l = 0, 1, ..., each added into the register."""

    kind: ClassVar[str] = "sequential"

    @property
    def group(self) -> int:
        """Products per addition into the P-bit register."""
        return 1


@dataclass(frozen=True, slots=True)
class Tree(Constructed):
    """An adder tree: the exact sum of `lanes` consecutive products, then one addition into the register.

    Parameters
    ----------
    lanes
        Products per addition, positive; the last group may be smaller.
    """

    kind: ClassVar[str] = "tree"

    lanes: int = 16

    def __post_init__(self) -> None:
        object.__setattr__(self, "lanes", checked_integer("lanes", self.lanes, 1, _MAX_GROUP))

    @property
    def group(self) -> int:
        """Products per addition into the P-bit register."""
        return self.lanes


@dataclass(frozen=True, slots=True)
class Split(Constructed):
    """A register of its own per tile of the depth, started at zero, then one addition into the P-bit register.

    Parameters
    ----------
    tile
        Products per tile, positive; the last tile may be smaller.
    inner_bits
        Width of the tile register, 2 to 63. It overflows as the P-bit register does.
    """

    kind: ClassVar[str] = "split"

    tile: int = 64
    inner_bits: int = 20

    def __post_init__(self) -> None:
        object.__setattr__(self, "tile", checked_integer("tile", self.tile, 1, _MAX_GROUP))
        inner = checked_integer("inner_bits", self.inner_bits, MIN_REGISTER_BITS, MAX_REGISTER_BITS)
        object.__setattr__(self, "inner_bits", inner)

    @property
    def group(self) -> int:
        """Products per addition into the P-bit register."""
        return self.tile


Order: TypeAlias = Sequential | Tree | Split

ORDERS: dict[str, type[Order]] = {order.kind: order for order in (Sequential, Tree, Split)}


@dataclass(frozen=True, slots=True)
class Accumulator(Constructed):
    """A two's-complement accumulator of P bits, and how products reach it.

    One step is ``register = overflow(register + p)`` with p the exact product: it is never clamped before it is added.

    Parameters
    ----------
    bits
        Width P of the register, 2 to 63.
    overflow
        An `OverflowMode`, or its name: "wrap", "saturate" or "trap".
    order
        `Sequential()`, `Tree(lanes)` or `Split(tile, inner_bits)`. Order matters where something saturates
        or traps, and where a wrapping tile register is narrower than the accumulator.
    alignment
        An `Alignment`, or its name: "product", "operand" or "deferred".

    Raises
    ------
    ValueError
        If a parameter is not one of the legal ones.
    """

    bits: int = 32
    overflow: str = OverflowMode.WRAP
    order: Order = Sequential()
    alignment: str = Alignment.PRODUCT

    def __post_init__(self) -> None:
        advice = "a register holds up to 63 bits so that every sum fits the 64 of a machine word"
        bits = checked_integer("accumulator bits", self.bits, MIN_REGISTER_BITS, MAX_REGISTER_BITS, advice)
        object.__setattr__(self, "bits", bits)
        object.__setattr__(self, "overflow", OverflowMode.of(self.overflow))
        object.__setattr__(self, "alignment", Alignment.of(self.alignment))
        order: object = self.order
        if not isinstance(order, Sequential | Tree | Split):
            error = unknown_name("order", order if isinstance(order, str) else type(order).__name__, ORDERS)
            raise ValueError(f"{error} Give an object: Sequential(), Tree(lanes=16) or Split(tile=64, inner_bits=20).")

    @property
    def minimum(self) -> int:
        """Least value of the register, -2**(P-1)."""
        return -(1 << (self.bits - 1))

    @property
    def maximum(self) -> int:
        """Greatest value of the register, 2**(P-1) - 1."""
        return (1 << (self.bits - 1)) - 1

    def to_dict(self) -> dict[str, Any]:
        """The accumulator as plain data; `Accumulator.from_dict` is the way back."""
        order = {"kind": self.order.kind} | asdict(self.order)
        return {"bits": self.bits, "overflow": str(self.overflow), "order": order, "alignment": str(self.alignment)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Accumulator:
        """The accumulator that `to_dict` wrote.

        Raises
        ------
        ValueError
            If a field is missing, unknown or out of range.
        """
        try:
            fields = dict(data)
            order = dict(fields.pop("order", {"kind": Sequential.kind}))
            kind = order.pop("kind", None)
            if kind not in ORDERS:
                raise unknown_name("order", kind, ORDERS)
            return cls(order=ORDERS[kind](**order), **fields)
        except TypeError as error:
            raise ValueError(f"cannot make an accumulator from {dict(data)!r}: {error}") from None


def bits_for(lowest: int, highest: int) -> int:
    """Width of the narrowest legal two's-complement register that holds both integers: at least 2."""
    return max(MIN_REGISTER_BITS, *((value if value >= 0 else ~value).bit_length() + 1 for value in (lowest, highest)))
