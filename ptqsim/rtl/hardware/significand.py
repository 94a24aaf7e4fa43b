"""The decoders of small floats and of logarithms: from a stored code to a significand and its shift."""

from __future__ import annotations

from ptqsim.formats.floats.minifloat import Minifloat
from ptqsim.formats.log2 import Log2
from ptqsim.rtl.hardware.operands import greatest_shift
from ptqsim.rtl.hardware.verilog import Module, Signal, inp, lines, out, wire


def shift_signal(side: str, number_format: Minifloat | Log2) -> Signal:
    """Width of the shift of a code."""
    return Signal(f"{side}_shift", max(1, greatest_shift(number_format).bit_length()))


def significand(name: str, number_format: Minifloat | Log2, mantissa: Signal) -> Module:
    """Code to mantissa and shift, of one operand.

    Parameters
    ----------
    name : str
        Name of the module.
    number_format : Minifloat or Log2
    mantissa : Signal
        Width and sign of what is multiplied.
    """
    shift = shift_signal("", number_format)
    made = _of_float if isinstance(number_format, Minifloat) else _of_logarithm
    header, body = made(number_format, shift.bits, mantissa.bits)  # type: ignore[arg-type]
    ports = (
        inp("code", number_format.bits, "stored code"),
        out("shift", shift.bits, f"0 to {greatest_shift(number_format)}"),
        out("mantissa", mantissa.bits, "value before the shift", mantissa.signed),
    )
    return Module(name, header, ports, body)


def value_formula(side: str, number_format: Minifloat | Log2) -> str:
    """The integer formula of an operand, for headers."""
    return f"value({side}_code) = {side}_mantissa << {side}_shift, {number_format.short()}"


def _of_float(fmt: Minifloat, shift_bits: int, bits: int) -> tuple[str, str]:
    e, m = fmt.exponent_bits, fmt.mantissa_bits
    header = f"""
        Decoder of {fmt.name} codes of {fmt.bits} bits: {e} of exponent, {m} of fraction.

          normal = field != 0, significand = normal * 2^{m} + fraction
          shift = field - normal
          mantissa = sign ? -significand : significand

        The value of a code is mantissa << shift in units of the least number. Codes of infinity and NaN are read as
        numbers: they have no value, and are not to be given.
    """
    field = f"code[{e + m - 1}:{m}]"
    fraction = f", code[{m - 1}:0]" if m else ""
    difference = f"{field} - {e}'(normal)"
    declared = [
        f"wire normal = |{field};",
        wire(Signal("significand", bits, signed=True), f"{{{bits - m - 1}'d0, normal{fraction}}}"),
    ]
    if shift_bits == e:
        declared.append(f"assign shift = {difference};")
    else:  # field 2^e - 1 stands for no number, or e is 1
        declared += [f"wire [{e - 1}:0] steps = {difference};", f"assign shift = steps[{shift_bits - 1}:0];"]
    return header, lines("\n".join(declared), f"assign mantissa = code[{fmt.bits - 1}] ? -significand : significand;")


def _of_logarithm(fmt: Log2, shift_bits: int, bits: int) -> tuple[str, str]:
    k, rest_bits, top = fmt.bits, fmt.root.bit_length() - 1, greatest_shift(fmt)
    zero = fmt.code_count - 1
    header = f"""
        Decoder of logarithms of {k} bits, base 2^(1/{fmt.root}).

          s, r = code div {fmt.root}, code mod {fmt.root}
          shift = {top} - s
          mantissa = F(r), and 0 for code {zero};  F = {", ".join(str(one) for one in fmt.fractions)}

        The value of a code is mantissa << shift in units of the least power.
    """
    quotient = f"code[{k - 1}:{rest_bits}]"
    wide = k - rest_bits
    declared = [f"wire [{wide - 1}:0] steps = {wide}'d{top} - {quotient};", "wire is_zero = &code;"]
    chosen = f"{bits}'d{fmt.fractions[-1]}"
    for number in reversed(range(fmt.root - 1)):
        chosen = f"code[{rest_bits - 1}:0] == {rest_bits}'d{number} ? {bits}'d{fmt.fractions[number]} : ({chosen})"
    declared.append(wire(Signal("fraction", bits), chosen))
    assert shift_bits <= wide
    declared.append(f"assign shift = steps[{shift_bits - 1}:0];")
    return header, lines("\n".join(declared), f"assign mantissa = is_zero ? {bits}'d0 : fraction;")
