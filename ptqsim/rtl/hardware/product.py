"""One pair of codes to what is added for it: decoder, multiplier, and the shift where the alignment has it."""

from __future__ import annotations

from ptqsim.datapath.spec import Alignment
from ptqsim.formats.base import NumberFormat
from ptqsim.formats.floats.minifloat import Minifloat
from ptqsim.formats.log2 import Log2
from ptqsim.rtl.hardware.decoder import decoder, value_of
from ptqsim.rtl.hardware.multiplier import multiplier
from ptqsim.rtl.hardware.operands import floating, greatest_shift, twin
from ptqsim.rtl.hardware.significand import shift_signal
from ptqsim.rtl.hardware.unit import Unit
from ptqsim.rtl.hardware.verilog import Module, Port, Signal, inp, instance, lines, out, wire


def shift_ports(unit: Unit) -> tuple[Port, ...]:
    """The inputs m_a and m_b, if shifts are inputs of the unit."""
    formats = dict(unit.sides)
    return tuple(
        inp(signal.name, signal.bits, f"shift of operand {signal.name[2:]}, 0 to {formats[signal.name[2:]].shift}")
        for signal in unit.shift_inputs
    )


def product(unit: Unit) -> Module:
    """Codes of both operands in, the exact term of the accumulator out."""
    made = {
        Alignment.PRODUCT: _product_aligned,
        Alignment.OPERAND: _operand_aligned,
        Alignment.DEFERRED: _deferred,
    }[Alignment.of(unit.accumulator.alignment)]
    formula, body, parts, ports = made(unit)
    codes = tuple(inp(f"{side}_code", fmt.bits, f"{fmt.kind} code") for side, fmt in unit.sides)
    values = "\n".join(f"  {value_of(unit, side)}" for side, _ in unit.sides)
    shifts = "" if unit.runtime_shift else "".join(f"\n  m_{side} = {fmt.shift}" for side, fmt in unit.twins)
    header = f"Aligned product of two codes, alignment {unit.accumulator.alignment}.\n\n{formula}\n{values}{shifts}"
    both = lines(*(decoded(unit, side) for side, _ in unit.sides))
    parts = (*(decoder(unit, side) for side, fmt in unit.sides if twin(fmt) or floating(fmt)), *parts)
    shift_inputs = () if unit.deferred else shift_ports(unit)
    return Module(f"{unit.name}_product", header, (*codes, *shift_inputs, *ports), lines(both, body), parts)


def decoded(unit: Unit, side: str) -> str:
    """Declare the wires with flag or shift, and mantissa, of one operand."""
    mantissa = unit.mantissa(side)
    number_format = dict(unit.sides)[side]
    if isinstance(number_format, Minifloat | Log2):
        shift = shift_signal(side, number_format)
        wires = {"code": f"{side}_code", "shift": shift.name, "mantissa": mantissa.name}
        return "\n".join([wire(shift), wire(mantissa), instance(decoder(unit, side), f"{side}_decoder", **wires)])
    if not twin(number_format):
        if unit.corrects:
            return wire(mantissa, f"{side}_code")
        return _less_zero_point(number_format, side, mantissa)
    flag = "" if unit.deferred else wire(Signal(f"{side}_flag")) + "\n"
    return (
        flag
        + wire(mantissa)
        + "\n"
        + instance(
            decoder(unit, side),
            f"{side}_decoder",
            code=f"{side}_code",
            flag=f"{side}_flag",
            mantissa=mantissa.name,
        )
    )


def _less_zero_point(number_format: NumberFormat, side: str, mantissa: Signal) -> str:
    """The integer of a uniform code less its zero point, in the width of that difference."""
    zero_point = number_format.zero_point
    if not zero_point:
        return wire(mantissa, f"{side}_code")
    integer = Signal(f"{side}_integer", number_format.bits, number_format.aligned_min + zero_point < 0)
    constant = f"{mantissa.bits}'d{abs(zero_point)}"
    difference = f"{integer.to(mantissa.bits)} {'-' if zero_point > 0 else '+'} {constant}"
    return wire(integer, f"{side}_code") + "\n" + wire(mantissa, difference)


def _multiplied(unit: Unit, x: Signal, y: Signal, product: Signal) -> tuple[str, Module]:
    module = multiplier(f"{unit.name}_multiplier", unit.multiplier, x, y, product.bits)
    return instance(module, "multiplier", x=x.name, y=y.name, product=product.name), module


def shifted(unit: Unit, side: str, given: Signal, result: Signal) -> str:
    """`result` is `given`, shifted by m if the operand is in R2."""
    amount = dict(unit.sides)[side].shift
    wide = given.to(result.bits)
    if unit.runtime_shift:
        shift = f"{side}_flag ? m_{side} : {unit.shift_input(side).bits}'d0"
        return f"{wire(given.named(f'{given.name}_unshifted')._replace(bits=result.bits), wide)}\n" + wire(
            result, f"{given.name}_unshifted <<< ({shift})"
        )
    if amount == 0:
        return wire(result, given.name)
    return wire(result, f"{side}_flag ? {{{given.name}, {amount}'d0}} : {wide}")


def _product_aligned(unit: Unit) -> tuple[str, str, tuple[Module, ...], tuple[Port, ...]]:
    """The shift stands between multiplier and accumulator (PTQ4ViT, Eq. 5)."""
    x, y, bare, term = unit.mantissa("a"), unit.mantissa("b"), unit.product, unit.term
    multiplied, module = _multiplied(unit, x, y, bare)
    stages, given = [wire(bare), multiplied], bare
    for side, fmt in unit.twins:
        wider = Signal(f"product_{side}", given.bits + fmt.shift, signed=True)
        stages.append(shifted(unit, side, given, wider))
        given = wider
    stages.append(_by_codes(unit, given, term))
    body = lines(*stages)
    amounts = [f"({side}_flag ? m_{side} : 0)" for side, _ in unit.twins] + [f"{side}_shift" for side, _ in unit.floats]
    shifts = " + ".join(amounts) or "0"
    formula = f"  term = (a_mantissa * b_mantissa) << ({shifts})\n       = value(a_code) * value(b_code), exact"
    return formula, body, (module,), (out("term", term.bits, "exact product", signed=True),)


def _by_codes(unit: Unit, given: Signal, term: Signal) -> str:
    """The term is what was multiplied, shifted by the sum of the shifts that codes have of their own."""
    if not unit.floats:
        return f"assign term = {given.name};"
    shifts = [shift_signal(side, fmt) for side, fmt in unit.floats if isinstance(fmt, Minifloat | Log2)]
    total = Signal("total_shift", sum(greatest_shift(fmt) for _, fmt in unit.floats).bit_length() or 1)
    wide = Signal("wide_product", term.bits, signed=True)
    return "\n".join(
        [
            wire(total, " + ".join(shift.to(total.bits) for shift in shifts)),
            wire(wide, given.to(wide.bits)),
            f"assign term = {wide.name} <<< {total.name};",
        ]
    )


def _operand_aligned(unit: Unit) -> tuple[str, str, tuple[Module, ...], tuple[Port, ...]]:
    """The operands are shifted, and the multiplier is wider for it."""
    factors, stages = [], []
    for side, fmt in unit.sides:
        mantissa, aligned = unit.mantissa(side), unit.aligned(side)
        if twin(fmt):
            stages.append(shifted(unit, side, mantissa, aligned))
        elif floating(fmt):
            wide = mantissa.named(f"{side}_wide")._replace(bits=aligned.bits)
            stages += [wire(wide, mantissa.to(wide.bits)), wire(aligned, f"{wide.name} << {side}_shift")]
        factors.append(aligned if twin(fmt) or floating(fmt) else mantissa)
    multiplied, module = _multiplied(unit, factors[0], factors[1], unit.term)
    formula = "  term = value(a_code) * value(b_code), exact"
    return formula, lines(*stages, multiplied), (module,), (out("term", unit.term.bits, "exact product", signed=True),)


def _deferred(unit: Unit) -> tuple[str, str, tuple[Module, ...], tuple[Port, ...]]:
    """No shift at all: the registers of each pair of ranges are told apart by the flags."""
    bare = unit.product if unit.floats else unit.term
    body, module = _multiplied(unit, unit.mantissa("a"), unit.mantissa("b"), bare)
    if unit.floats:
        body = lines(wire(bare), body, _by_codes(unit, bare, unit.term))
    flags = tuple(out(f"{side}_flag", 0, f"range of operand {side}: 0 is R1, 1 is R2") for side, _ in unit.twins)
    formula = "  term = a_mantissa * b_mantissa, exact; the flags say to which registers it belongs"
    return formula, body, (module,), (*flags, out("term", unit.term.bits, "exact product", signed=True))
