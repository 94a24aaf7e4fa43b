"""The requantizer: from an accumulator to a code, by one multiplication and one rounding."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ptqsim.common.validation import checked_type
from ptqsim.datapath.requantization.requantize import Requantizer, RequantizeRounding
from ptqsim.rtl.hardware.multiplier import multiplier
from ptqsim.rtl.hardware.requantization.parts import (
    WORDS,
    acc_ports,
    checked_multiplier,
    clamp,
    clamped,
    code_port,
    number,
    rounds_twice,
    sum_bits,
    total_of,
)
from ptqsim.rtl.hardware.unit import Multiplier
from ptqsim.rtl.hardware.verilog import Module, Signal, instance, lines, unused, wire


@dataclass(frozen=True, slots=True)
class RequantizerUnit:
    """A requantizer of accumulators of a given width, to `Uniform` codes.

    Parameters
    ----------
    requantizer : Requantizer
        Multiplier, shift and rounding.
    acc_bits : int, optional
        Width of the accumulator, 2 to 63.
    bits : int, optional
        Width of the codes, 2 to 16.
    bias_bits : int, optional
        Width of an integer that is added to the accumulator first; None for no bias.
    multiplier : Multiplier or str, optional
        A `Multiplier`, or its name.
    name : str, optional
        Prefix of every module.
    signed : bool, optional
        True for codes in two's complement, False for plain binary ones.
    zero_point : int, optional
        The integer whose code stands for 0.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or ``tflite_double`` meets sums that leave its int32.
    """

    requantizer: Requantizer
    acc_bits: int = 32
    bits: int = 8
    bias_bits: int | None = None
    multiplier: Multiplier | str = Multiplier.BEHAVIORAL
    name: str = "ptqsim"
    signed: bool = True
    zero_point: int = 0

    def __post_init__(self) -> None:
        own = replace(checked_type("requantizer", self.requantizer, Requantizer))  # checked, and nobody else's
        object.__setattr__(self, "requantizer", own)
        object.__setattr__(self, "multiplier", checked_multiplier(self, (own,)))

    @property
    def two_roundings(self) -> bool:
        """True if the quotient is rounded twice."""
        return rounds_twice(self.requantizer)

    @property
    def sum_bits(self) -> int:
        """Width of accumulator plus bias, exact."""
        return sum_bits(self.acc_bits, self.bias_bits)

    def module(self) -> Module:
        """The combinational module."""
        return _module(self)


def _module(unit: RequantizerUnit) -> Module:
    given, (total, added) = unit.requantizer, total_of(unit.acc_bits, unit.bias_bits)
    factor = Signal("factor", given.multiplier.bit_length())
    product = Signal("product", total.bits + factor.bits, signed=True)
    times = multiplier(f"{unit.name}_requantizer_multiplier", unit.multiplier, total, factor, product.bits)
    multiplied = lines(
        wire(factor, f"{factor.bits}'d{given.multiplier}"),
        wire(product),
        instance(times, "multiplier", x="total", y="factor", product="product"),
    )
    if unit.two_roundings:
        shifts = (31 - max(0, 31 - given.shift), max(0, given.shift - 31))
        rounded, name = divided(product, shifts[0], RequantizeRounding.HALF_UP, "high")
        second, name = divided(name, shifts[1], RequantizeRounding.HALF_AWAY, "quotient")
        rounded = lines(rounded, second)
    else:
        rounded, name = divided(product, given.shift, given.rounding, "quotient")
    ports = [*acc_ports(unit.acc_bits, unit.bias_bits), code_port(unit.bits, unit.signed)]
    body = lines(added, multiplied, rounded, clamped(name, unit.bits, unit.signed, unit.zero_point))
    return Module(f"{unit.name}_requantizer", _header(unit), tuple(ports), body, (times,))


def divided(given: Signal, shift: int, rounding: str, name: str) -> tuple[str, Signal]:
    """``given / 2**shift``, rounded: something is added that makes the shift, which rounds down, round as it should."""
    if shift <= 0:
        result = Signal(name, given.bits - shift, signed=True)
        return wire(result, f"{{{given.name}, {-shift}'d0}}" if shift else given.name), result
    wide = max(given.bits, shift) + 1
    sign = f"{given.name}[{given.bits - 1}]"
    odd = f"{given.name}[{min(shift, given.bits - 1)}]"
    half, nudge = 1 << (shift - 1), Signal(f"{name}_nudge", wide, signed=True)
    value = {
        RequantizeRounding.TRUNCATE: "",
        RequantizeRounding.TOWARD_ZERO: f"{sign} ? {number(2 * half - 1, wide)} : {number(0, wide)}",
        RequantizeRounding.HALF_UP: number(half, wide),
        RequantizeRounding.TFLITE_SINGLE: number(half, wide),
        RequantizeRounding.HALF_AWAY: f"{sign} ? {number(half - 1, wide)} : {number(half, wide)}",
        RequantizeRounding.HALF_EVEN: f"{odd} ? {number(half, wide)} : {number(half - 1, wide)}",
    }[RequantizeRounding.of(rounding)]
    total = Signal(f"{name}_nudged", wide, signed=True)
    result = Signal(name, wide - shift, signed=True)
    added = wire(total, given.to(wide) + (f" + {nudge.name}" if value else ""))
    text = lines(
        "\n".join([wire(nudge, value), added] if value else [added]),
        wire(result, f"{total.name}[{wide - 1}:{shift}]"),
        unused(f"{name}_fraction", f"{total.name}[{shift - 1}:0]"),
    )
    return text, result


def _header(unit: RequantizerUnit) -> str:
    given, bias = unit.requantizer, "" if unit.bias_bits is None else " + bias"
    return f"""
        Requantizer, rounding {given.rounding}: an accumulator of {unit.acc_bits} bits becomes a uniform code of
        {unit.bits} bits.

          code = {clamp(f"round((acc{bias}) * {given.multiplier} / 2^({given.shift}))", unit)}
          round: {WORDS[given.rounding]}
    """
