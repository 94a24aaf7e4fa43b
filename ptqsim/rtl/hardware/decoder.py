"""The decoders of codes: to the mantissa and the range that it is in, or the shift of its own."""

from __future__ import annotations

from ptqsim.formats.floats.minifloat import Minifloat
from ptqsim.formats.log2 import Log2
from ptqsim.formats.twin import TwinGELU
from ptqsim.rtl.hardware.operands import twin
from ptqsim.rtl.hardware.significand import significand, value_formula
from ptqsim.rtl.hardware.unit import Unit
from ptqsim.rtl.hardware.verilog import Module, inp, lines, out


def decoder(unit: Unit, side: str) -> Module:
    """Code to flag and mantissa of a twin operand, or to shift and mantissa of a small float or logarithm."""
    number_format = dict(unit.sides)[side]
    if isinstance(number_format, Minifloat | Log2):
        return significand(f"{unit.name}_{side}_decoder", number_format, unit.mantissa(side))
    bits, mantissa = number_format.bits, unit.mantissa(side)
    magnitude = f"code[{bits - 2}:0]"
    if isinstance(number_format, TwinGELU):
        formula = "mantissa = flag ? magnitude : -magnitude"
        body = f"""
            wire signed [{bits - 1}:0] magnitude = {{1'b0, {magnitude}}};
            assign mantissa = flag ? magnitude : -magnitude;
        """
    else:
        formula = "mantissa = magnitude"
        body = f"assign mantissa = {magnitude};"
    header = f"""
        Decoder of the {number_format.kind} codes of operand {side}, {bits} bits each.

          flag = code[{bits - 1}], magnitude = code[{bits - 2}:0]
          {formula}

        The value of a code is mantissa << (flag ? m : 0) in units of the finer scale: flag 0 is range R1, flag 1 is R2.
    """
    ports = (
        inp("code", bits, "stored code"),
        out("flag", 0, "0: range R1, 1: range R2"),
        out("mantissa", mantissa.bits, "value before the shift", mantissa.signed),
    )
    return Module(f"{unit.name}_{side}_decoder", header, ports, lines(f"assign flag = code[{bits - 1}];", body))


def value_of(unit: Unit, side: str) -> str:
    """The integer formula of an operand, for headers."""
    number_format = dict(unit.sides)[side]
    if isinstance(number_format, Minifloat | Log2):
        return value_formula(side, number_format)
    if not twin(number_format):
        binary = "two's complement" if number_format.aligned_min + number_format.zero_point < 0 else "plain binary"
        zero_point = 0 if unit.corrects else number_format.zero_point
        less = f" - {zero_point}" if zero_point > 0 else ""
        less = f" + {-zero_point}" if zero_point < 0 else less
        return f"value({side}_code) = {side}_code{less}, {binary} of {number_format.bits} bits"
    sign = "-magnitude" if isinstance(number_format, TwinGELU) else "magnitude"
    return f"value({side}_code) = flag ? magnitude << m_{side} : {sign}, with {{flag, magnitude}} = {side}_code"
