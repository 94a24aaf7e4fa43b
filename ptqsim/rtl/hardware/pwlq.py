"""The unit of PWLQ (Fang et al., ECCV 2020), to compare with: a multiplication aligns its ranges."""

from __future__ import annotations

from dataclasses import dataclass

from ptqsim.common.validation import checked_bits, checked_integer
from ptqsim.datapath.order import MAX_REGISTER_BITS, MIN_REGISTER_BITS
from ptqsim.datapath.spec import OverflowMode
from ptqsim.formats.compared.pwlq import MAX_BITS, PWLQ
from ptqsim.rtl.hardware.accumulate import accumulate
from ptqsim.rtl.hardware.multiplier import multiplier
from ptqsim.rtl.hardware.unit import Multiplier, checked_name
from ptqsim.rtl.hardware.verilog import Module, Signal, inp, instance, lines, out, wire


@dataclass(frozen=True, slots=True)
class PWLQUnit:
    """A unit for PWLQ codes times uniform codes that rescales every product.

    On the grid of center_scale * 2**-fraction_bits, with S = round(tail_scale / center_scale * 2**fraction_bits) and
    B = round(breakpoint / center_scale * 2**fraction_bits) as inputs of the unit,
    value(code) = c << fraction_bits in the center and +-(B + magnitude * S) in the tails.

    Parameters
    ----------
    bits : int, optional
        Width k of a value in its range, 2 to 15; codes have k + 1 bits.
    b_bits : int, optional
        Width of the uniform codes, 2 to 16.
    acc_bits : int, optional
        Width of the accumulator, 2 to 63.
    scale_bits : int, optional
        Width of S, 2 to 16.
    fraction_bits : int, optional
        Fraction of S, 0 to `scale_bits`.
    overflow : OverflowMode or str, optional
        "wrap" or "saturate".
    multiplier : Multiplier or str, optional
        A `Multiplier`, or its name.
    name : str, optional
        Prefix of every module.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    bits: int = 8
    b_bits: int = 8
    acc_bits: int = 24
    scale_bits: int = 8
    fraction_bits: int = 4
    overflow: OverflowMode | str = OverflowMode.WRAP
    multiplier: Multiplier | str = Multiplier.BEHAVIORAL
    name: str = "ptqsim_pwlq"

    def __post_init__(self) -> None:
        checked_bits(self.bits, MAX_BITS)
        checked_bits(self.b_bits)
        checked_integer("acc_bits", self.acc_bits, MIN_REGISTER_BITS, MAX_REGISTER_BITS)
        checked_integer("scale_bits", self.scale_bits, 2, 16)
        checked_integer("fraction_bits", self.fraction_bits, 0, self.scale_bits)
        object.__setattr__(self, "overflow", OverflowMode.of(self.overflow))
        object.__setattr__(self, "multiplier", Multiplier.of(self.multiplier))
        checked_name(self.name)
        if self.overflow == OverflowMode.TRAP:
            raise ValueError("the unit for comparison wraps or saturates; trap is offered by Unit")

    @property
    def offset_bits(self) -> int:
        """Width of B: the breakpoint is the top of the center, 2**(k-1) steps, on the finer grid."""
        return self.bits + self.fraction_bits

    @property
    def value_bits(self) -> int:
        """Width of value(code)."""
        return max(self.bits - 1 + self.scale_bits, self.offset_bits) + 2

    def constants(self, number_format: PWLQ) -> tuple[int, int]:
        """S and B of a format.

        Raises
        ------
        ValueError
            If they do not fit the inputs of the unit.
        """
        grid = number_format.scale / (1 << self.fraction_bits)
        scale, offset = round(number_format.tail_scale / grid), round(number_format.breakpoint / grid)
        if not (1 <= scale < 1 << self.scale_bits and offset < 1 << self.offset_bits):
            raise ValueError(
                f"tail scale {scale} and breakpoint {offset} do not fit {self.scale_bits} and {self.offset_bits} bits; "
                "raise scale_bits or lower fraction_bits"
            )
        return scale, offset

    def value(self, code: int, scale: int, offset: int) -> int:
        """Value that the unit decodes from a code, as a Python integer."""
        half = 1 << (self.bits - 1)
        tail, c = divmod(code, 2 * half)
        if not tail:
            return (c - 2 * half if c >= half else c) << self.fraction_bits
        sign, magnitude = divmod(c, half)
        return (offset + magnitude * scale) * (-1 if sign else 1)

    def module(self) -> Module:
        """The clocked module: one step at every rising edge with enable."""
        return _module(self)


def _module(unit: PWLQUnit) -> Module:
    k, value = unit.bits, Signal("value", unit.value_bits, signed=True)
    magnitude, scale = Signal("magnitude", k - 1), Signal("tail_scale", unit.scale_bits)
    rescaled = Signal("rescaled", k - 1 + unit.scale_bits + 1, signed=True)
    rescale = multiplier(f"{unit.name}_rescale", unit.multiplier, magnitude, scale, rescaled.bits)
    center = Signal("center", k, signed=True)
    b, term = Signal("b_code", unit.b_bits, signed=True), Signal("term", value.bits + unit.b_bits, signed=True)
    times = multiplier(f"{unit.name}_multiplier", unit.multiplier, value, b, term.bits)
    acc = Signal("acc", unit.acc_bits, signed=True)
    add = accumulate(f"{unit.name}_accumulate", acc, term, unit.overflow)
    offset = Signal("tail_offset", unit.offset_bits)
    bits = value.bits
    body = lines(
        f"""
        wire in_tail = a_code[{k}];
        {wire(center, f"a_code[{k - 1}:0]")}
        {wire(magnitude, f"a_code[{k - 2}:0]")}
        """,
        wire(rescaled) + "\n" + instance(rescale, "rescale", x="magnitude", y="tail_scale", product="rescaled"),
        f"""
        {wire(Signal("distance", bits, True), f"{rescaled.to(bits)} + {offset.to(bits)}")}
        {wire(Signal("tail", bits, True), f"a_code[{k - 1}] ? -distance : distance")}
        {wire(Signal("wide_center", bits, True), center.to(bits))}
        {wire(value, f"in_tail ? tail : wide_center <<< {unit.fraction_bits}")}
        """,
        wire(term) + "\n" + instance(times, "multiplier", x="value", y="b_code", product="term"),
        f"""
        {wire(acc.named("start"), f"first ? {acc.bits}'sd0 : acc")}
        {wire(acc.named("next_acc"))}
        """,
        instance(add, "accumulate", register="start", term="term", sum="next_acc"),
        "always_ff @(posedge clk) if (enable) acc <= next_acc;",
    )
    ports = (
        inp("clk"),
        inp("enable", 0, "take this step"),
        inp("first", 0, "start from zero: the first step of an output"),
        inp("a_code", k + 1, "PWLQ code"),
        inp("b_code", unit.b_bits, "uniform code", signed=True),
        inp("tail_scale", unit.scale_bits, "S, the step of the tails"),
        inp("tail_offset", unit.offset_bits, "B, where the tails start"),
        out("acc", unit.acc_bits, "accumulator", signed=True),
    )
    header = f"""
        Processing element for PWLQ codes of {k} + 1 bits times uniform codes of {unit.b_bits} bits,
        accumulator of {unit.acc_bits} bits.

          acc = {unit.overflow}(acc + value(a_code) * b_code)
          value = a_code[{k}] ? +-(tail_offset + magnitude * tail_scale) : center << {unit.fraction_bits}
          center = a_code[{k - 1}:0] in two's complement; sign = a_code[{k - 1}], magnitude = a_code[{k - 2}:0]

        For comparison with twin codes: the ranges have free scales, and a multiplication of every code aligns them.
    """
    return Module(f"{unit.name}_element", header, ports, body, (rescale, times, add))
