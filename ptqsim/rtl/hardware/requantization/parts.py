"""Parts of both requantizers: sums, widths, clamping, and the roundings in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from ptqsim.common.validation import checked_bits, checked_integer
from ptqsim.datapath.order import MAX_REGISTER_BITS, MIN_REGISTER_BITS
from ptqsim.datapath.requantization.requantize import Requantizer, RequantizeRounding
from ptqsim.formats.uniform import Uniform
from ptqsim.rtl.hardware.unit import Multiplier, checked_name
from ptqsim.rtl.hardware.verilog import Port, Signal, inp, out, wire

WORDS: Final[dict[str, str]] = {
    RequantizeRounding.HALF_AWAY: "to nearest, a half away from zero",
    RequantizeRounding.HALF_EVEN: "to nearest, a half to even",
    RequantizeRounding.HALF_UP: "to nearest, a half up",
    RequantizeRounding.TRUNCATE: "toward negative infinity",
    RequantizeRounding.TOWARD_ZERO: "toward zero",
    RequantizeRounding.TFLITE_SINGLE: "to nearest, a half up",
    RequantizeRounding.TFLITE_DOUBLE: "by 2^31 to nearest, a half up, then by the rest, a half away from zero",
}
"""Roundings in headers."""


class Target(Protocol):
    """The codes that a requantizer makes."""

    @property
    def bits(self) -> int:
        """Width of a code."""
        ...

    @property
    def signed(self) -> bool:
        """True for two's complement."""
        ...

    @property
    def zero_point(self) -> int:
        """The integer whose code stands for 0."""
        ...


class Requantizing(Target, Protocol):
    """A unit that requantizes."""

    @property
    def acc_bits(self) -> int:
        """Width of the accumulator."""
        ...

    @property
    def bias_bits(self) -> int | None:
        """Width of the bias, None for none."""
        ...

    @property
    def multiplier(self) -> Multiplier | str:
        """The multiplier, or its name."""
        ...

    @property
    def name(self) -> str:
        """Prefix of every module."""
        ...


def checked_multiplier(unit: Requantizing, requantizers: Sequence[Requantizer]) -> Multiplier:
    """The multiplier of a unit with these requantizers, whose other parameters are checked, too.

    Raises
    ------
    ValueError
        If one is out of its range, or sums leave the int32 of gemmlowp's two roundings.
    """
    checked_integer("acc_bits", unit.acc_bits, MIN_REGISTER_BITS, MAX_REGISTER_BITS)
    checked_bits(unit.bits)
    if unit.bias_bits is not None:
        checked_integer("bias_bits", unit.bias_bits, MIN_REGISTER_BITS, MAX_REGISTER_BITS)
    checked = Multiplier.of(unit.multiplier)
    checked_name(unit.name)
    Uniform(unit.bits, 1.0, signed=unit.signed, zero_point=unit.zero_point)  # which checks the zero point
    bits = sum_bits(unit.acc_bits, unit.bias_bits)
    for one in requantizers:
        left = max(0, 31 - one.shift)
        if rounds_twice(one) and bits + left > 32:
            raise ValueError(
                f"rounding 'tflite_double' works in int32, and sums of {bits} bits, shifted left by {left}, are wider; "
                "narrow the accumulator, or use another rounding"
            )
    return checked


def rounds_twice(requantizer: Requantizer) -> bool:
    """True if the quotient is rounded twice."""
    return requantizer.rounding == RequantizeRounding.TFLITE_DOUBLE


def sum_bits(acc_bits: int, bias_bits: int | None) -> int:
    """Width of accumulator plus bias, exact."""
    return acc_bits if bias_bits is None else max(acc_bits, bias_bits) + 1


def acc_ports(acc_bits: int, bias_bits: int | None) -> list[Port]:
    """The inputs of the accumulator and of the bias, if there is one."""
    ports = [inp("acc", acc_bits, "accumulator", signed=True)]
    if bias_bits is not None:
        ports.append(inp("bias", bias_bits, "on the grid of the accumulator", signed=True))
    return ports


def code_port(bits: int, signed: bool) -> Port:
    """The output of the code."""
    binary = "two's complement" if signed else "plain binary"
    return out("code", bits, f"uniform code, {binary}", signed=signed)


def total_of(acc_bits: int, bias_bits: int | None) -> tuple[Signal, str]:
    """The sum of accumulator and bias: its signal and its declaration."""
    total = Signal("total", sum_bits(acc_bits, bias_bits), signed=True)
    if bias_bits is None:
        return total, wire(total, "acc")
    acc, bias = Signal("acc", acc_bits, True), Signal("bias", bias_bits, True)
    return total, wire(total, f"{acc.to(total.bits)} + {bias.to(total.bits)}")


def clamp(value: str, target: Target) -> str:
    """The formula of a code, for headers."""
    k, zero_point = target.bits, target.zero_point
    low, high = (f"-2^{k - 1}", f"2^{k - 1} - 1") if target.signed else ("0", f"2^{k} - 1")
    moved = f"{value} {'+' if zero_point > 0 else '-'} {abs(zero_point)}" if zero_point else value
    return f"clamp({moved}, {low}, {high})"


def clamped(given: Signal, bits: int, signed: bool, zero_point: int) -> str:
    """Statements that give the code: the zero point added, and the nearest value that fits."""
    declared = ""
    if zero_point:
        moved = Signal("moved", max(given.bits, zero_point.bit_length() + 1) + 1, signed=True)
        constant = f"{moved.bits}'d{abs(zero_point)}"
        declared = wire(moved, f"{given.to(moved.bits)} {'+' if zero_point > 0 else '-'} {constant}") + "\n"
        given = moved
    sign = f"{given.name}[{given.bits - 1}]"
    if not signed:
        return declared + _clamped_from_zero(given, bits, sign)
    if given.bits <= bits:
        return f"{declared}assign code = {given.to(bits)};"
    top = f"{given.name}[{given.bits - 1}:{bits - 1}]"
    fits = f"wire fits = (&{top}) | ~(|{top});  // all bits from the sign on are equal"
    limit = f"{{{sign}, {{{bits - 1}{{~{sign}}}}}}}"
    return f"{declared}{fits}\nassign code = fits ? {given.name}[{bits - 1}:0] : {limit};"


def _clamped_from_zero(given: Signal, bits: int, sign: str) -> str:
    """Clamping to plain binary: 0 for what is negative, all ones for what is too large."""
    zero, ones = f"{bits}'d0", f"{{{bits}{{1'b1}}}}"
    if given.bits <= bits + 1:
        kept = given.to(bits) if given.bits > bits else f"{bits}'({given.name})"
        return f"assign code = {sign} ? {zero} : {kept};"
    large = f"(|{given.name}[{given.bits - 2}:{bits}])"
    return f"assign code = {sign} ? {zero} : {large} ? {ones} : {given.name}[{bits - 1}:0];"


def number(value: int, bits: int) -> str:
    """A literal."""
    return f"{bits}'h{value:0{-(-bits // 4)}x}"
