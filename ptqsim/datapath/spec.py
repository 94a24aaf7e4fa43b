"""The specification of a multiply-accumulate unit: register width, overflow, alignment and order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ptqsim.common.choice import Choice
from ptqsim.common.validation import checked_integer
from ptqsim.datapath.order import MAX_REGISTER_BITS, MIN_REGISTER_BITS, ORDERS, Order, Sequential, Split, as_order
from ptqsim.datapath.order import OverflowMode as OverflowMode
from ptqsim.errors import unknown_name
from ptqsim.formats.arrays.immutable import Constructed


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


class ZeroPoint(Choice):
    """Place where zero points are subtracted, for operands whose integers A and B stand for A - z_a and B - z_b.

    ``operand``: before the multiplier. ``correction``: the integers are multiplied as they are. The register then
    starts from the constant -z_a * sum(B) + K * z_a * z_b, which the right operand decides, and -z_b * sum(A) is added
    at the end, in one addition. Both are equal where nothing overflows and where registers wrap (docs/accumulation.md).
    """

    OPERAND = "operand"
    CORRECTION = "correction"


@dataclass(frozen=True, slots=True)
class Accumulator(Constructed):
    """A two's-complement accumulator of P bits, and how products reach it.

    One step is ``register = overflow(register + p)`` with the exact product p, which is not clamped before the
    addition.

    Parameters
    ----------
    bits : int
        Width P of the register, 2 to 63.
    overflow : OverflowMode or str
        An `OverflowMode`, or its name: "wrap", "saturate" or "trap".
    order : Sequential, Tree, Split or str
        `Sequential()`, `Tree(lanes)` or `Split(tile, inner_bits, inner_overflow)`, or its text form, such as
        "sequential", "tree:16", "split:64:20" or "split:2:16:saturate". The order changes results where a register
        saturates or traps, and where a wrapping tile register is narrower than the accumulator.
    alignment : Alignment or str
        An `Alignment`, or its name: "product", "operand" or "deferred".
    zero_point : ZeroPoint or str
        A `ZeroPoint`, or its name: "operand" or "correction". It makes no difference where all zero points are 0.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is not legal.
    """

    bits: int = 32
    overflow: OverflowMode = OverflowMode.WRAP
    order: Order = Sequential()  # noqa: RUF009 - immutable
    alignment: Alignment = Alignment.PRODUCT
    zero_point: ZeroPoint = ZeroPoint.OPERAND

    # Written out, because it takes more types than the fields have.
    def __init__(
        self,
        bits: int = 32,
        overflow: OverflowMode | str = OverflowMode.WRAP,
        order: Order | str = Sequential(),  # noqa: B008 - immutable
        alignment: Alignment | str = Alignment.PRODUCT,
        zero_point: ZeroPoint | str = ZeroPoint.OPERAND,
    ) -> None:
        advice = "a register holds up to 63 bits so that every sum fits the 64 of a machine word"
        bits = checked_integer("accumulator bits", bits, MIN_REGISTER_BITS, MAX_REGISTER_BITS, advice)
        object.__setattr__(self, "bits", bits)
        object.__setattr__(self, "overflow", OverflowMode.of(overflow))
        object.__setattr__(self, "order", replace(as_order(order)))  # a copy, checked and not shared
        object.__setattr__(self, "alignment", Alignment.of(alignment))
        object.__setattr__(self, "zero_point", ZeroPoint.of(zero_point))
        if self.inner_overflow != self.overflow and OverflowMode.TRAP in (self.inner_overflow, self.overflow):
            raise ValueError(
                f"a tile register in mode {self.inner_overflow} beside an accumulator in mode {self.overflow} is not "
                "simulated: where one traps both do; leave inner_overflow out, or take wrap and saturate"
            )

    def __repr__(self) -> str:
        later = f", zero_point={self.zero_point!r}" if self.zero_point != ZeroPoint.OPERAND else ""
        return (
            f"Accumulator(bits={self.bits!r}, overflow={self.overflow!r}, order={self.order!r}, "
            f"alignment={self.alignment!r}{later})"
        )

    @property
    def minimum(self) -> int:
        """Least value of the register, -2**(P-1)."""
        return -(1 << (self.bits - 1))

    @property
    def maximum(self) -> int:
        """Greatest value of the register, 2**(P-1) - 1."""
        return (1 << (self.bits - 1)) - 1

    @property
    def inner_overflow(self) -> OverflowMode:
        """Overflow mode of the tile register of a split order: its own, or that of the accumulator."""
        own = self.order.inner_overflow if isinstance(self.order, Split) else None
        return self.overflow if own is None else own

    def to_dict(self) -> dict[str, Any]:
        """The accumulator as plain data; `Accumulator.from_dict` is the way back."""
        own = {name: value for name, value in asdict(self.order).items() if value is not None}
        order = {"kind": self.order.kind} | own
        fields = {"bits": self.bits, "overflow": str(self.overflow), "order": order, "alignment": str(self.alignment)}
        # Left out by default: files from before there were zero points have the same bytes.
        later = {"zero_point": str(self.zero_point)} if self.zero_point != ZeroPoint.OPERAND else {}
        return fields | later

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
