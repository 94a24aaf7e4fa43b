"""The requantizer: from an accumulator to a code, by one multiplication and one rounding."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ptqsim.common.validation import checked_bits, checked_integer, checked_type
from ptqsim.datapath.order import MAX_REGISTER_BITS, MIN_REGISTER_BITS
from ptqsim.datapath.requantization.requantize import Requantizer, RequantizeRounding
from ptqsim.rtl.hardware.multiplier import multiplier
from ptqsim.rtl.hardware.unit import Multiplier, checked_name
from ptqsim.rtl.hardware.verilog import Module, Signal, inp, instance, lines, out, unused, wire


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

    def __post_init__(self) -> None:
        own = replace(checked_type("requantizer", self.requantizer, Requantizer))  # checked, and nobody else's
        object.__setattr__(self, "requantizer", own)
        checked_integer("acc_bits", self.acc_bits, MIN_REGISTER_BITS, MAX_REGISTER_BITS)
        checked_bits(self.bits)
        if self.bias_bits is not None:
            checked_integer("bias_bits", self.bias_bits, MIN_REGISTER_BITS, MAX_REGISTER_BITS)
        object.__setattr__(self, "multiplier", Multiplier.of(self.multiplier))
        checked_name(self.name)
        if self.two_roundings and self.sum_bits + max(0, 31 - self.requantizer.shift) > 32:
            raise ValueError(
                f"rounding 'tflite_double' works in int32, and sums of {self.sum_bits} bits, shifted left by "
                f"{max(0, 31 - self.requantizer.shift)}, are wider; narrow the accumulator, or use another rounding"
            )

    @property
    def two_roundings(self) -> bool:
        """True if the quotient is rounded twice."""
        return self.requantizer.rounding == RequantizeRounding.TFLITE_DOUBLE

    @property
    def sum_bits(self) -> int:
        """Width of accumulator plus bias, exact."""
        return self.acc_bits if self.bias_bits is None else max(self.acc_bits, self.bias_bits) + 1

    def module(self) -> Module:
        """The combinational module."""
        return _module(self)


def _module(unit: RequantizerUnit) -> Module:
    given, total = unit.requantizer, Signal("total", unit.sum_bits, signed=True)
    added = wire(total, "acc")
    if unit.bias_bits is not None:
        acc, bias = Signal("acc", unit.acc_bits, True), Signal("bias", unit.bias_bits, True)
        added = wire(total, f"{acc.to(total.bits)} + {bias.to(total.bits)}")
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
        rounded, name = _divided(product, shifts[0], RequantizeRounding.HALF_UP, "high")
        second, name = _divided(name, shifts[1], RequantizeRounding.HALF_AWAY, "quotient")
        rounded = lines(rounded, second)
    else:
        rounded, name = _divided(product, given.shift, given.rounding, "quotient")
    ports = [inp("acc", unit.acc_bits, "accumulator", signed=True)]
    if unit.bias_bits is not None:
        ports.append(inp("bias", unit.bias_bits, "on the grid of the accumulator", signed=True))
    ports.append(out("code", unit.bits, "uniform code, two's complement", signed=True))
    body = lines(added, multiplied, rounded, _clamped(name, unit.bits))
    return Module(f"{unit.name}_requantizer", _header(unit), tuple(ports), body, (times,))


def _divided(given: Signal, shift: int, rounding: str, name: str) -> tuple[str, Signal]:
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
        RequantizeRounding.TOWARD_ZERO: f"{sign} ? {_number(2 * half - 1, wide)} : {_number(0, wide)}",
        RequantizeRounding.HALF_UP: _number(half, wide),
        RequantizeRounding.TFLITE_SINGLE: _number(half, wide),
        RequantizeRounding.HALF_AWAY: f"{sign} ? {_number(half - 1, wide)} : {_number(half, wide)}",
        RequantizeRounding.HALF_EVEN: f"{odd} ? {_number(half, wide)} : {_number(half - 1, wide)}",
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


def _number(value: int, bits: int) -> str:
    return f"{bits}'h{value:0{-(-bits // 4)}x}"


def _clamped(given: Signal, bits: int) -> str:
    if given.bits <= bits:
        return f"assign code = {given.to(bits)};"
    top = f"{given.name}[{given.bits - 1}:{bits - 1}]"
    sign = f"{given.name}[{given.bits - 1}]"
    return f"""
        wire fits = (&{top}) | ~(|{top});  // all bits from the sign on are equal
        assign code = fits ? {given.name}[{bits - 1}:0] : {{{sign}, {{{bits - 1}{{~{sign}}}}}}};
    """


def _header(unit: RequantizerUnit) -> str:
    given, bias = unit.requantizer, "" if unit.bias_bits is None else " + bias"
    low, high = f"-2^{unit.bits - 1}", f"2^{unit.bits - 1} - 1"
    how = {
        RequantizeRounding.HALF_AWAY: "to nearest, a half away from zero",
        RequantizeRounding.HALF_EVEN: "to nearest, a half to even",
        RequantizeRounding.HALF_UP: "to nearest, a half up",
        RequantizeRounding.TRUNCATE: "toward negative infinity",
        RequantizeRounding.TOWARD_ZERO: "toward zero",
        RequantizeRounding.TFLITE_SINGLE: "to nearest, a half up",
        RequantizeRounding.TFLITE_DOUBLE: "by 2^31 to nearest, a half up, then by the rest, a half away from zero",
    }[RequantizeRounding.of(given.rounding)]
    return f"""
        Requantizer, rounding {given.rounding}: an accumulator of {unit.acc_bits} bits becomes a uniform code of
        {unit.bits} bits.

          code = clamp(round((acc{bias}) * {given.multiplier} / 2^({given.shift})), {low}, {high})
          round: {how}
    """
