"""Exponentials of a distance to the greatest score: combinational, one module for every formulation of softmax."""

from __future__ import annotations

from collections.abc import Mapping

from ptqsim import units
from ptqsim.rtl.hardware.verilog import Module, Signal, inp, out, wire
from ptqsim.rtl.units.body import Body, at, compared
from ptqsim.rtl.units.parts.rom import table
from ptqsim.units.interval import Interval
from ptqsim.units.softmax_units.softmax_unit import SoftmaxUnit


def exponential(name: str, unit: SoftmaxUnit, style: str, spare: Mapping[str, int]) -> Module:
    """The module from `distance`, the greatest score less a score, to `exponential`."""
    body = Body(name, style, spare)
    distance = Signal("distance", unit.score_bits)
    ports = [inp("distance", distance.bits, "greatest score less this one")]
    if isinstance(unit, units.Softmax):
        formula = _base_two(body, unit, distance)
    elif isinstance(unit, units.Shiftmax):
        formula = _shiftmax(body, unit, distance)
    elif isinstance(unit, units.IExpSoftmax):
        formula = _i_exp(body, unit, distance)
    else:
        assert isinstance(unit, units.ITASoftmax)
        formula = _ita(body, unit, distance)
        if unit.part:
            ports.append(out("halvings", HALVINGS, "of the sum, if the greatest score rises by this distance"))
    ports.append(out("exponential", unit.exponential.bits))
    header = f"""
        Exponential of {unit.kind}: {unit.source}.

          {formula.strip()}
    """
    return Module(name, header, tuple(ports), body.render(), tuple(body.parts))


HALVINGS = 6
"""Width of a number of halvings, which is 62 at most."""


def _half_up(body: Body, name: str, interval: Interval, product: Signal, ends: Interval, shift: int) -> Signal:
    """``product / 2**shift``, a half up."""
    if shift <= 0:
        return body.shifted(name, interval, product, shift)
    half = 1 << (shift - 1)
    nudged = body.sum(f"{name}_nudged", ends + Interval(half, half), product, half)
    return body.shifted(name, interval, nudged, shift)


def _base_two(body: Body, unit: units.Softmax, distance: Signal) -> str:
    widths, fraction = unit.widths(), len(unit.table).bit_length() - 1
    mantissa, shift = unit.multiplier.mantissa[0], unit.multiplier.shift[0]
    product = body.product("product", widths["product"], distance, mantissa)
    unbounded = _half_up(body, "unbounded", widths["unbounded"], product, widths["product"], shift)
    last = (1 << unit.position_bits) - 1
    position = unbounded
    if widths["unbounded"].highest > last:
        position = body.least("position", widths["position"], unbounded, last)
    bits = unit.exponential.bits
    entry = Signal("entry", bits)
    if fraction:
        rom = table(f"{body.name}_table", unit.table, bits, f"2^(-i / {len(unit.table)})")
        body.add(wire(entry))
        index = position.to(fraction) if position.bits >= fraction else f"{fraction}'({position.name})"
        body.instance(rom, "table", index=index, value="entry")
    else:
        body.add(wire(entry, at(unit.table[0], bits)))
    if position.bits > fraction:
        halvings = Signal("halvings", position.bits - fraction)
        body.add(wire(halvings, f"{position.name}[{position.bits - 1}:{fraction}]"))
        doubled = body.let("doubled", Interval(0, 2 * unit.exponential.highest), f"{{{entry.name}, 1'b0}}")
        halves = body.moved("halves", Interval(0, 2 * unit.exponential.highest), doubled, halvings)
        nudged = body.sum("nudged", Interval(0, 2 * unit.exponential.highest + 1), halves, 1)
        moved = body.shifted("power", unit.exponential, nudged, 1)
    else:
        moved = entry
    if widths["unbounded"].highest >= last:
        body.add(f"wire zero = {compared(position, '==', last)};  // it stands for all that is farther, too")
        body.add(f"assign exponential = zero ? {at(0, bits)} : {moved.to(bits)};")
    else:
        body.add(f"assign exponential = {moved.to(bits)};")
    return f"""
          product = distance * {mantissa}, {product.bits} bits
          position = min({last}, round(product / 2^({shift}))), {position.bits} bits
          exponential = position == {last} ? 0 : round(table[position mod {1 << fraction}] / 2^(position >> {fraction}))
"""


def divided_by(body: Body, name: str, given: Signal, highest: int, divisor: int, rest: str) -> tuple[Signal, Signal]:
    """Quotient and remainder of a wire by a constant: one comparison for every bit of the quotient."""
    most = highest // divisor
    bits: list[str] = []
    left = given
    ends = Interval(0, highest)
    for place in reversed(range(most.bit_length())):
        step = divisor << place
        body.add(f"wire {name}_{place} = {compared(left, '>=', step)};")
        bits.append(f"{name}_{place}")
        after = Interval(0, min(ends.highest, step - 1))
        width = body.signal(f"{rest}_{place}", after).bits
        left = body.let(
            f"{rest}_{place}",
            after,
            f"{name}_{place} ? {at(left, width)} - {at(step, width)} : {at(left, width)}",
        )
        ends = after
    quotient = Signal(name, max(1, most.bit_length()))
    body.add(wire(quotient, f"{{{', '.join(bits)}}}" if bits else "1'b0"))
    return quotient, left


def shift_exp(body: Body, score: Signal, ends: Interval, inverse_step: int, shift: int, highest: Interval) -> Signal:
    """ShiftExp of I-ViT: statements from a score to the wire `exponential`; whole powers of 2 may be positive."""
    tripled = Interval(*((end + (end >> 1) - (end >> 4)) for end in (ends.lowest, ends.highest)))
    wide = Interval(min(tripled.lowest, ends.lowest) * 2, max(tripled.highest, ends.highest) * 2)
    half = body.shifted("half", Interval(ends.lowest >> 1, ends.highest >> 1), score, 1, keep=True)
    part = body.shifted("sixteenth", Interval(ends.lowest >> 4, ends.highest >> 4), score, 4, keep=True)
    both = body.sum("three_halves", wide, score, half)
    times = body.difference("times_log2_e", wide, both, part)
    farthest = -shift * inverse_step
    magnified = times
    magnified_ends = Interval(max(farthest, tripled.lowest), max(farthest, tripled.highest))
    if tripled.lowest < farthest:
        magnified = body.choice("magnified", magnified_ends, compared(times, ">", farthest), times, farthest)
    # An exponent above zero is counted from as many whole powers of 2 as it can have.
    above = -(-magnified_ends.highest // inverse_step) if magnified_ends.highest > 0 else 0
    most = above * inverse_step
    dividend_ends = Interval(most - magnified_ends.highest, most - magnified_ends.lowest)
    dividend = body.difference("dividend", dividend_ends, most, magnified)
    whole, rest = divided_by(body, "whole", dividend, dividend_ends.highest, inverse_step, "rest")
    rest_ends = Interval(0, inverse_step - 1)
    nudged = body.sum("rest_nudged", rest_ends + Interval(1, 1), rest, 1)
    chord = body.shifted("chord", Interval(0, inverse_step >> 1), nudged, 1)  # -(-rest >> 1)
    mantissa = body.difference("mantissa", Interval((inverse_step + 1) // 2, inverse_step), inverse_step, chord)
    raise_ends = Interval(0, shift + above)
    amount = body.difference("amount", raise_ends, shift + above, whole)
    return body.raised("power", highest, mantissa, amount)


def _shiftmax(body: Body, unit: units.Shiftmax, distance: Signal) -> str:
    ends = Interval(-unit.distance.highest, 0)
    score = body.difference("score", ends, 0, distance)
    power = shift_exp(body, score, ends, unit.inverse_step, unit.shift, unit.exponential)
    body.add(f"assign exponential = {power.name};")
    return shift_exp_formula(unit.inverse_step, unit.shift, "-distance")


def shift_exp_formula(inverse_step: int, shift: int, score: str) -> str:
    """The formula of `shift_exp`, for headers."""
    return f"""
          score = {score}
          magnified = max(score + (score >> 1) - (score >> 4), -{shift * inverse_step})
          whole = floor(-magnified / {inverse_step}), rest = -magnified - whole * {inverse_step}
          exponential = ({inverse_step} + (-rest >> 1)) << ({shift} - whole)
"""


def _i_exp(body: Body, unit: units.IExpSoftmax, distance: Signal) -> str:
    widths, most = unit.widths(), unit.most_halvings * unit.ln2
    bounded = distance
    highest = min(most, unit.distance.highest)
    if unit.distance.highest > most:
        bounded = body.least("bounded", widths["bounded"], distance, most)
    whole, rest = divided_by(body, "whole", bounded, highest, unit.ln2, "rest")
    # rest is the remainder here, the negative of the unit's.
    root = body.difference("root", Interval(unit.vertex - unit.ln2 + 1, unit.vertex), unit.vertex, rest)
    square = body.product("square", Interval(0, unit.vertex**2), root, root)
    polynomial = body.sum("polynomial", widths["polynomial"], square, unit.constant)
    power = body.moved("power", unit.exponential, polynomial, whole)
    body.add(f"assign exponential = {power.name};")
    return f"""
          bounded = min(distance, {most}), {widths["bounded"].bits} bits
          whole = floor(bounded / {unit.ln2}), rest = bounded - whole * {unit.ln2}
          polynomial = ({unit.vertex} - rest)^2 + {unit.constant}, {widths["polynomial"].bits} bits
          exponential = polynomial >> whole
"""


def _ita(body: Body, unit: units.ITASoftmax, distance: Signal) -> str:
    widths, top = unit.widths(), unit.amplitude_bits + 1
    mantissa, shift = unit.multiplier.mantissa[0], unit.multiplier.shift[0]
    product = body.product("product", widths["product"], distance, mantissa)
    unbounded = _half_up(body, "unbounded", widths["unbounded"], product, widths["product"], shift)
    power = unbounded
    if widths["unbounded"].highest > top:
        power = body.least("power", widths["power"], unbounded, top)
    bits = unit.exponential.bits
    body.add(f"assign exponential = {at(1 << unit.amplitude_bits, bits)} >> {power.name};")
    if unit.part:
        rise = unbounded
        if widths["unbounded"].highest > 62:
            rise = body.least("rise", Interval(0, 62), unbounded, 62)
        body.add(f"assign halvings = {at(rise, HALVINGS)};")
    last = f"\n          halvings = min(62, round(distance * {mantissa} / 2^({shift})))" if unit.part else ""
    return f"""
          power = min({top}, round(distance * {mantissa} / 2^({shift}))), {power.bits} bits
          exponential = 2^{unit.amplitude_bits} >> power{last}
"""
