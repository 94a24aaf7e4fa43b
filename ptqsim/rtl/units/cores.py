"""Combinational cores of units whose code depends on one element: rescaling, residual sum, GELUs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from ptqsim import units
from ptqsim.formats.base import NumberFormat
from ptqsim.formats.uniform import Uniform
from ptqsim.rtl.hardware.verilog import Module, Signal, inp, wire
from ptqsim.rtl.units.body import Body, Operand, at, compared
from ptqsim.rtl.units.hardware import UnitHardware
from ptqsim.rtl.units.parts.channels import Channels
from ptqsim.rtl.units.parts.encode import NEVER, code_port, encoder, halves_of_shift, needs_remainder
from ptqsim.rtl.units.parts.rom import table
from ptqsim.units.interval import Interval, hull


def rounded_code(
    body: Body,
    scaled: Signal,
    interval: Interval,
    shift: Sequence[int],
    amount: Operand,
    number_format: NumberFormat,
    name: str = "encode",
    code: str = "code",
) -> None:
    """Statements from ``scaled / 2**shift`` to its code; `amount` is `of_amounts` of the shifts, or the wire of it."""
    lowest = min(shift)
    if isinstance(amount, int):
        halves = halves_of_shift(interval, lowest)
        found = body.shifted("halves", halves, scaled, lowest - 1, signed=True, keep=needs_remainder(number_format))
        lost = f"|{scaled.name}[{min(lowest - 1, scaled.bits) - 1}:0]" if lowest > 1 else "1'b0"
    else:
        halves = hull(halves_of_shift(interval, one) for one in set(shift))
        left = max(0, 1 - lowest)
        wide = Interval(interval.lowest << left, interval.highest << left)
        source = body.shifted("raised", wide, scaled, -left) if left else scaled
        found = body.moved("halves", halves, source, amount, signed=True)
        lost = f"(halves_moved <<< {amount.name}) != halves_wide"
    part = encoder(f"{body.name}_{name}", number_format, halves)
    wired = {"halves": found.to(part.ports[0].signal.bits), "code": code}
    if needs_remainder(number_format):
        body.add(f"wire inexact = {lost};")
        wired["inexact"] = "inexact"
    body.instance(part, name, **wired)


def of_amounts(shift: Sequence[int]) -> tuple[int, ...]:
    """Amounts by which scaled values are moved right, once they are moved left by as much as the least shift needs."""
    left = max(0, 1 - min(shift))
    return tuple(one - 1 + left for one in shift)


def rescale_channels(unit: units.Rescale) -> Channels:
    """The constants of a rescaling."""
    given = unit.multiplier
    return Channels(
        {"bias": unit.bias, "mantissa": given.mantissa, "amount": of_amounts(given.shift)}, unit.channels
    )  # fmt: skip


def rescale(name: str, unit: units.Rescale, style: str, spare: Mapping[str, int], code: str = "code") -> Module:
    """An accumulator, and the constants of its channel, to a code."""
    body, widths, channels = Body(name, style, spare), unit.widths(), rescale_channels(unit)
    acc = Signal("acc", unit.acc_bits, True)
    biased = body.sum("biased", widths["biased"], acc, channels.operand("bias"))
    product = body.product("product", widths["product"], biased, channels.operand("mantissa"))
    shift = unit.multiplier.shift
    rounded_code(body, product, widths["product"], shift, channels.operand("amount"), unit.out_format, code=code)
    several = "[channel]" if unit.channels else ""
    amounts = "shift" if len(set(shift)) > 1 else str(shift[0])
    header = f"""
        Rescaling of an accumulator to {unit.out_format.short()}.

          biased = acc + bias{several}, {widths["biased"].bits} bits
          product = biased * mantissa{several}, {widths["product"].bits} bits
          code = code of product / 2^({amounts}), a half up
    """
    ports = (inp("acc", acc.bits, "accumulator", signed=True), *channels.ports, code_port(code, unit.out_format))
    return Module(name, header, ports, body.render(), tuple(body.parts))


def residual_channels(unit: units.ResidualAdd) -> Channels:
    """The constants of a residual sum."""
    return Channels({"bias": unit.bias, "m1": unit.m1, "m2": unit.m2}, unit.channels)


def residual_add(name: str, unit: units.ResidualAdd, style: str, spare: Mapping[str, int]) -> Module:
    """A value of the residual stream and an accumulator, and the constants of their channel, to a code."""
    body, widths, channels = Body(name, style, spare), unit.widths(), residual_channels(unit)
    x, acc = Signal("x", unit.x_bits, True), Signal("acc", unit.acc_bits, True)
    biased = body.sum("biased", widths["biased"], acc, channels.operand("bias"))
    stream = body.product("stream", widths["stream"], x, channels.operand("m1"))
    branch = body.product("branch", widths["branch"], biased, channels.operand("m2"))
    total = body.sum("total", widths["total"], stream, branch)
    rounded_code(body, total, widths["total"], (unit.shift,), unit.shift - 1, unit.out_format)
    several = "[channel]" if unit.channels else ""
    header = f"""
        Saturating sum of the residual stream and a branch, to {unit.out_format.short()}.

          stream = x * m1{several}, {widths["stream"].bits} bits
          branch = (acc + bias{several}) * m2{several}, {widths["branch"].bits} bits
          total = stream + branch, {widths["total"].bits} bits
          code = code of total / 2^{unit.shift}, a half up
    """
    ports = (
        inp("x", x.bits, "residual stream", signed=True),
        inp("acc", acc.bits, "accumulator of the branch", signed=True),
        *channels.ports,
        code_port("code", unit.out_format),
    )
    return Module(name, header, ports, body.render(), tuple(body.parts))


def activation(name: str, unit: units.Activation, style: str, spare: Mapping[str, int]) -> Module:
    """An accumulator to a code of the pre-activation, which is the index of a table."""
    body = Body(name, style, spare)
    first = rescale(f"{name}_rescale", unit.rescale, style, spare, code="index")
    bits = unit.out_format.bits
    entries = table(f"{name}_table", unit.table, bits, f"{unit.kind} of {unit.rescale.out_format.short()}")
    body.add(wire(Signal("index", unit.rescale.out_format.bits)))
    body.instance(first, "rescale")
    body.instance(entries, "table", value="code")
    header = f"""
        {unit.kind} by table: {len(unit.table)} codes of {unit.out_format.short()}.

          index = code of (acc + bias) * mantissa / 2^shift in {unit.rescale.out_format.short()}
          code = table[index]
    """
    channels = rescale_channels(unit.rescale)
    ports = (
        inp("acc", unit.rescale.acc_bits, "accumulator", signed=True),
        *channels.ports,
        code_port("code", unit.out_format),
    )
    return Module(name, header, ports, body.render(), tuple(body.parts))


def pre_activation(body: Body, unit: units.Rescale, style: str, spare: Mapping[str, int]) -> Signal:
    """Statements from the accumulator to the integer that its pre-activation code stands for: the wire `value`."""
    grid = cast("Uniform", unit.out_format)
    first = rescale(f"{body.name}_rescale", unit, style, spare, code="index")
    index = Signal("index", grid.bits, grid.signed)
    body.add(wire(index))
    body.instance(first, "rescale")
    return body.difference("value", Interval(grid.aligned_min, grid.aligned_max), index, grid.zero_point)


def i_gelu(name: str, unit: units.IGELU, style: str, spare: Mapping[str, int]) -> Module:
    """I-GELU of I-BERT: an accumulator to the product of the pre-activation and a polynomial."""
    body, widths = Body(name, style, spare), unit.widths()
    value = pre_activation(body, unit.rescale, style, spare)
    farthest = Interval(0, max(-widths["value"].lowest, widths["value"].highest))
    body.add(f"wire negative = {compared(value, '<', 0) if value.signed else NEVER};")
    size = body.signal("size", farthest)
    body.add(wire(size, f"negative ? -({value.to(size.bits)}) : {value.to(size.bits)}"))
    clipped = body.least("clipped", widths["clipped"], size, -unit.vertex)
    root = Interval(widths["clipped"].lowest + unit.vertex, widths["clipped"].highest + unit.vertex)
    distance = body.sum("distance", root, clipped, unit.vertex)
    square = Interval(0, max(root.lowest**2, root.highest**2))
    squared = body.product("square", square, distance, distance)
    polynomial = body.sum("polynomial", widths["polynomial"], squared, unit.constant)
    erf = body.signal("erf", widths["erf"])
    given = at(polynomial, erf.bits)
    body.add(f"wire zero = ~(|{value.name});")
    body.add(wire(erf, f"zero ? {at(0, erf.bits)} : negative ? -({given}) : {given}"))
    factor = body.sum("factor", widths["erf"] + Interval(unit.one, unit.one), erf, unit.one)
    activated = body.product("activated", widths["activated"], value, factor)
    scaled = body.product("scaled", widths["scaled"], activated, -unit.multiplier.mantissa[0])
    shift = unit.multiplier.shift
    rounded_code(body, scaled, widths["scaled"], shift, shift[0] - 1, unit.out_format)
    header = f"""
        I-GELU of I-BERT: x (1 + erf(x / sqrt 2)) / 2 with a polynomial of degree 2, to {unit.out_format.short()}.

          value = pre-activation of acc, {widths["value"].bits} bits
          clipped = min(|value|, {-unit.vertex}), {clipped.bits} bits
          polynomial = (clipped - {-unit.vertex})^2 - {-unit.constant}, {polynomial.bits} bits
          erf = sgn(value) * polynomial, {widths["erf"].bits} bits
          activated = value * (erf - {-unit.one}), {widths["activated"].bits} bits
          code = code of -activated * {unit.multiplier.mantissa[0]} / 2^({shift[0]}), a half up
    """
    channels = rescale_channels(unit.rescale)
    ports = (
        inp("acc", unit.rescale.acc_bits, "accumulator", signed=True),
        *channels.ports,
        code_port("code", unit.out_format),
    )
    return Module(name, header, ports, body.render(), tuple(body.parts))


def core(hardware: UnitHardware, spare: Mapping[str, int]) -> tuple[Module, Channels]:
    """The combinational core of one element, and the constants that it takes."""
    unit, style = hardware.unit, str(hardware.multiplier)
    name = f"{hardware.name}_{unit.kind}_core"
    if isinstance(unit, units.Rescale):
        return rescale(name, unit, style, spare), rescale_channels(unit)
    if isinstance(unit, units.ResidualAdd):
        return residual_add(name, unit, style, spare), residual_channels(unit)
    if isinstance(unit, units.Activation):
        return activation(name, unit, style, spare), rescale_channels(unit.rescale)
    assert isinstance(unit, units.IGELU)
    return i_gelu(name, unit, style, spare), rescale_channels(unit.rescale)
