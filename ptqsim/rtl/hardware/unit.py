"""The specification of a hardware unit: the simulator's formats and accumulator, and what only hardware has to know."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from ptqsim.common.choice import Choice
from ptqsim.common.validation import checked_integer, checked_type
from ptqsim.datapath.bounds import corrects
from ptqsim.datapath.order import Split, Tree
from ptqsim.datapath.result_bits import result_bits
from ptqsim.datapath.spec import Accumulator, Alignment, OverflowMode, bits_for
from ptqsim.errors import ArgumentTypeError
from ptqsim.formats import registry
from ptqsim.formats.base import NumberFormat
from ptqsim.rtl.hardware.operands import FORMATS, floating, greatest_shift, mantissa_range, twin
from ptqsim.rtl.hardware.verilog import Signal

MAX_DEPTH = 1 << 20
MAX_LANES = 256


class Multiplier(Choice):
    """Style in which a multiplier is written.

    ``behavioral``: an asterisk, for tools that bring their own multipliers. ``baugh_wooley``: rows of partial products
    with inverted sign products and one constant, the same in every tool.
    """

    BEHAVIORAL = "behavioral"
    BAUGH_WOOLEY = "baugh_wooley"


@dataclass(frozen=True, slots=True)
class Unit:
    """A multiply-accumulate unit: two formats, an accumulator, and the options that change only the hardware.

    Parameters
    ----------
    a, b : NumberFormat
        `Uniform`, `TwinSoftmax`, `TwinGELU`, `Minifloat` or `Log2`.
    accumulator : Accumulator
        Register width, overflow mode, order and alignment.
    depth : int, optional
        Greatest number of products per output, 1 to 2**20: the width of counters and of a deferred result.
    runtime_shift : bool, optional
        The shifts are inputs of the unit, from 0 to the `shift` of each format, and not wired.
    multiplier : Multiplier or str, optional
        A `Multiplier`, or its name.
    name : str, optional
        Prefix of every module.

    Raises
    ------
    ValueError
        If a format is another one, the order asks for more than 256 lanes, a parameter is out of its range, or the
        result could need more than 63 bits.
    """

    a: NumberFormat
    b: NumberFormat
    accumulator: Accumulator
    depth: int = 64
    runtime_shift: bool = False
    multiplier: Multiplier | str = Multiplier.BEHAVIORAL
    name: str = "ptqsim"

    def __post_init__(self) -> None:
        given: tuple[object, ...] = self.a, self.b
        for number_format in given:
            if not isinstance(number_format, FORMATS):
                raise (ValueError if isinstance(number_format, NumberFormat) else ArgumentTypeError)(
                    f"no multiply-accumulate unit is generated for {type(number_format).__name__}; legal are Uniform, "
                    "TwinSoftmax, TwinGELU, Minifloat and Log2, and ptqsim.rtl.PWLQUnit for comparison"
                )
            if number_format.axis is not None:
                raise ValueError(
                    f"a format with a scale along axis {number_format.axis} was given, and a unit knows no channels; "
                    "legal is a format of one scale: its arithmetic is the same, give number_format.unscaled()"
                )
        checked_type("accumulator", self.accumulator, Accumulator)
        for field in ("a", "b", "accumulator"):
            object.__setattr__(self, field, replace(getattr(self, field)))  # copies that are checked, and nobody else's
        object.__setattr__(self, "depth", checked_integer("depth", self.depth, 1, MAX_DEPTH))
        object.__setattr__(self, "multiplier", Multiplier.of(self.multiplier))
        checked_name(self.name)
        if isinstance(self.accumulator.order, Tree) and self.accumulator.order.lanes > MAX_LANES:
            raise ValueError(
                f"an adder tree of {self.accumulator.order.lanes} lanes: {MAX_LANES} are generated at most"
            )
        for number_format in (self.a, self.b):
            number_format.aligned_table()  # refuses what is too wide for a datapath
        if self.corrects and self.floats:
            raise ValueError(
                "zero_point='correction' beside small floats or logarithms is not generated; legal is 'operand'"
            )
        if self.runtime_shift and not any(twin(number_format) for number_format in (self.a, self.b)):
            raise ValueError("runtime_shift=True needs a twin format: a uniform operand is not shifted")
        bits = result_bits(self.a, self.b, self.depth, self.accumulator)
        if bits > 63:
            raise ValueError(f"the exact result could need {bits} bits, and 63 are simulated; lower shifts or depth")

    # --- operands

    @property
    def sides(self) -> tuple[tuple[str, NumberFormat], ...]:
        """Prefix and format of both operands."""
        return (("a", self.a), ("b", self.b))

    @property
    def twins(self) -> tuple[tuple[str, NumberFormat], ...]:
        """Prefix and format of the operands with two ranges."""
        return tuple((side, number_format) for side, number_format in self.sides if twin(number_format))

    @property
    def floats(self) -> tuple[tuple[str, NumberFormat], ...]:
        """Prefix and format of the operands whose codes have shifts of their own."""
        return tuple((side, number_format) for side, number_format in self.sides if floating(number_format))

    @property
    def shift_inputs(self) -> tuple[Signal, ...]:
        """The inputs m_a and m_b, if shifts are inputs."""
        if not self.runtime_shift:
            return ()
        return tuple(Signal(f"m_{side}", max(1, fmt.shift.bit_length())) for side, fmt in self.twins)

    def shift_input(self, side: str) -> Signal:
        """The input that shifts one operand."""
        return next(signal for signal in self.shift_inputs if signal.name == f"m_{side}")

    def mantissa(self, side: str) -> Signal:
        """Width and sign of a mantissa, what is multiplied before any shift; unsigned if it is never negative."""
        low, high = self.mantissa_range(side)
        return Signal(f"{side}_mantissa", bits_for(low, high) - (low >= 0), low < 0)

    def mantissa_range(self, side: str) -> tuple[int, int]:
        """Least and greatest mantissa of an operand: less its zero point, unless that is corrected for."""
        number_format = dict(self.sides)[side]
        low, high = mantissa_range(number_format)
        offset = number_format.zero_point if self.corrects else 0
        return low + offset, high + offset

    def aligned(self, side: str) -> Signal:
        """Width and sign of an aligned value, the value of a code after the shift."""
        mantissa = self.mantissa(side)
        return Signal(f"{side}_aligned", mantissa.bits + greatest_shift(dict(self.sides)[side]), mantissa.signed)

    # --- products

    @property
    def product(self) -> Signal:
        """The product of two mantissas, exact."""
        corners = [x * w for x, w in product(self.mantissa_range("a"), self.mantissa_range("b"))]
        return Signal("product", bits_for(min(corners), max(corners)), signed=True)

    @property
    def term(self) -> Signal:
        """Width and sign of the exact addend of a pair of codes: the product, shifted unless that is deferred."""
        shift = sum(0 if self.deferred and twin(fmt) else greatest_shift(fmt) for _, fmt in self.sides)
        return Signal("term", self.product.bits + shift, signed=True)

    @property
    def group_sum(self) -> Signal:
        """Width and sign of the addend of one step: the exact sum over the lanes."""
        return Signal("group_sum", self.term.bits + (self.lanes - 1).bit_length(), signed=True)

    # --- corrections of zero points

    @property
    def corrects(self) -> bool:
        """True if codes are multiplied as they are, and their zero points are corrected for."""
        return corrects(self.accumulator.zero_point, self.a, self.b)

    @property
    def preloads(self) -> bool:
        """True if registers start from a constant: the zero point of `a` is corrected for."""
        return self.corrects and self.a.zero_point != 0

    @property
    def adds_rest(self) -> bool:
        """True if something is added at the end: the zero point of `b` is corrected for."""
        return self.corrects and self.b.zero_point != 0

    # --- registers

    @property
    def deferred(self) -> bool:
        """True if every pair of ranges has registers of its own."""
        return self.accumulator.alignment == Alignment.DEFERRED

    @property
    def traps(self) -> bool:
        """True if an overflow raises a flag."""
        return self.accumulator.overflow == OverflowMode.TRAP

    @property
    def lanes(self) -> int:
        """Products per step of the unit: those of an adder tree, else one."""
        return self.accumulator.order.lanes if isinstance(self.accumulator.order, Tree) else 1

    @property
    def split(self) -> Split | None:
        """The split order, if it is one."""
        return self.accumulator.order if isinstance(self.accumulator.order, Split) else None

    @property
    def filler(self) -> str:
        """The codes that fill up the last step of an output, in words: they stand for zero."""
        subtracted = not self.corrects and (self.a.zero_point or self.b.zero_point)
        return "codes of value 0" if subtracted or self.floats else "code 0"

    @property
    def steps(self) -> int:
        """Steps of the unit for the greatest depth."""
        return -(-self.depth // self.lanes)

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The pair of ranges that each register serves: one register for all unless deferred."""
        if not self.deferred:
            return ((0, 0),)
        return tuple(product(range(2 if twin(self.a) else 1), range(2 if twin(self.b) else 1)))

    def tag(self, pair: tuple[int, int]) -> str:
        """Suffix of the names of the registers of a pair of ranges."""
        if not self.deferred or not self.twins:
            return ""
        ranges = [f"r{number + 1}" for number, fmt in zip(pair, (self.a, self.b), strict=True) if twin(fmt)]
        return "_" + "".join(ranges)

    @property
    def acc(self) -> Signal:
        """A register of P bits."""
        return Signal("acc", self.accumulator.bits, signed=True)

    @property
    def inner(self) -> Signal:
        """A tile register of a split order."""
        assert self.split is not None
        return Signal("inner", self.split.inner_bits, signed=True)

    @property
    def result(self) -> Signal:
        """The output: P bits, or what the adder behind deferred registers needs if that is more."""
        bits = self.accumulator.bits
        if self.deferred:
            bits = max(bits, result_bits(self.a, self.b, self.depth, self.accumulator))
        return Signal("result", bits, signed=True)

    # --- as data

    def to_dict(self) -> dict[str, Any]:
        """The unit as plain data; `Unit.from_dict` is the way back."""
        return {
            "a": self.a.to_dict(),
            "b": self.b.to_dict(),
            "accumulator": self.accumulator.to_dict(),
            "depth": self.depth,
            "runtime_shift": self.runtime_shift,
            "multiplier": str(self.multiplier),
            "name": self.name,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Unit:
        """The unit that `to_dict` wrote."""
        fields = dict(data)
        made = {side: registry.from_dict(fields.pop(side)) for side in ("a", "b")}
        return cls(made["a"], made["b"], Accumulator.from_dict(fields.pop("accumulator")), **fields)


def checked_name(name: str) -> str:
    """`name`, if it can prefix names of modules."""
    checked_type("name", name, str)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(
            f"the name {name!r} cannot prefix modules; legal are small letters, digits and _, a letter first: try 'mac'"
        )
    return name
