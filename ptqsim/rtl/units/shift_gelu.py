"""ShiftGELU of a stream of rows: the greatest value of a row, then a division for every code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from ptqsim import units
from ptqsim.rtl.hardware.verilog import Module, Signal, inp, out, part_of, wire
from ptqsim.rtl.units.body import Body, compared
from ptqsim.rtl.units.cores import pre_activation, rescale_channels, rounded_code
from ptqsim.rtl.units.elementwise import add_channels, offered, taken
from ptqsim.rtl.units.exponentials import shift_exp, shift_exp_formula
from ptqsim.rtl.units.hardware import UnitHardware
from ptqsim.rtl.units.parts.divider import divider
from ptqsim.rtl.units.parts.encode import code_port
from ptqsim.rtl.units.rows import add_rows, kept
from ptqsim.units.interval import Interval


def shift_gelu(hardware: UnitHardware, spare: Mapping[str, int]) -> Module:
    """Rows of accumulators in, and after the last one of a row its codes out."""
    unit, lanes, name = cast("units.ShiftGELU", hardware.unit), hardware.lanes, f"{hardware.name}_shift_gelu"
    body, k, widths = Body(name, hardware.multiplier, spare), unit.out_format.bits, unit.widths()
    value, magnified = body.signal("value", widths["value"]), body.signal("magnified", widths["magnified"])
    first, channels = _magnify(f"{name}_first", unit, hardware, spare), rescale_channels(unit.rescale)
    word = value.bits + magnified.bits
    add_rows(body, hardware, "READY", "1'b1", lanes * word, "found")
    words = add_channels(body, channels, hardware, "accept")
    body.add(wire(Signal("found", lanes * word)))
    for lane in range(lanes):
        fields = {"value": f"found[{lane * word + value.bits - 1}:{lane * word}]",
                  "magnified": f"found[{(lane + 1) * word - 1}:{lane * word + value.bits}]"}  # fmt: skip
        acc = part_of("in_acc", lane, unit.rescale.acc_bits)
        body.instance(first, f"first_{lane}", acc=acc, **channels.slices(words, lane), **fields)
    _peak(body, hardware, magnified, widths["magnified"].lowest, word, value.bits)
    _exponentials(body, unit, hardware, magnified, word, value.bits, spare)
    _division(body, unit, hardware, value, word)
    last = _last(f"{name}_last", unit, hardware, value, spare)
    for lane in range(lanes):
        body.instance(last, f"last_{lane}", value=part_of("held", lane, value.bits),
                      halves=part_of("quotient", lane, unit.sigmoid_bits + 2),
                      code=part_of("out_code", lane, k))  # fmt: skip
    ports = (
        inp("clk"),
        inp("rst", 0, "synchronous, active high"),
        *offered(hardware, last=not hardware.counts_rows),
        *taken(hardware, last=True),
    )
    header = f"""
        ShiftGELU of rows of up to {hardware.row_length} accumulators, to codes of {unit.out_format.short()}.

          sigmoid = round(2^{unit.sigmoid_bits} * exponential / (exponential + of_zero))
          out_code = code of value * sigmoid * {unit.multiplier.mantissa[0]} / 2^({unit.multiplier.shift[0]})

        A row is taken into a buffer while its greatest value is found; then each beat goes through a divider of
        {unit.sigmoid_bits + 2} steps. The next row is taken when the last beat has gone to the division.
    """
    return Module(name, header, ports, body.render(), tuple(body.parts))


def _magnify(name: str, unit: units.ShiftGELU, hardware: UnitHardware, spare: Mapping[str, int]) -> Module:
    """From an accumulator to the pre-activation and 1.702 times that."""
    body, widths = Body(name, hardware.multiplier, spare), unit.widths()
    inner = Body(f"{name}_value", hardware.multiplier, spare)
    given = pre_activation(inner, unit.rescale, str(hardware.multiplier), spare)
    body.parts += inner.parts
    for text in inner.text:
        body.add(text.replace(f"{given.type}value =", f"{given.type}x ="))
    ends, x = widths["value"], given.named("x")
    terms = [x, *(
        body.shifted(f"shifted_{s}", Interval(ends.lowest >> s, ends.highest >> s), x, s, keep=True) for s in (1, 3, 4)
    )]  # fmt: skip
    times = body.sum("times", widths["magnified"], *terms)
    body.add(f"assign value = x;\nassign magnified = {times.name};")
    channels = rescale_channels(unit.rescale)
    header = f"""
        Pre-activation of ShiftGELU: {unit.rescale.out_format.short()}.

          value = pre-activation of acc, {given.bits} bits
          magnified = value + (value >> 1) + (value >> 3) + (value >> 4), {times.bits} bits
    """
    ports = (
        inp("acc", unit.rescale.acc_bits, "accumulator", signed=True),
        *channels.ports,
        out("value", given.bits, signed=given.signed),
        out("magnified", times.bits, "1.702 times the value", signed=times.signed),
    )
    return Module(name, header, ports, body.render(), tuple(body.parts))


def _peak(body: Body, hardware: UnitHardware, magnified: Signal, least: int, word: int, start: int) -> None:
    """The greatest magnified value of the row."""
    low = f"{magnified.bits}'h{least & ((1 << magnified.bits) - 1):x}"
    best: Signal | None = None
    for lane in range(hardware.lanes):
        field, condition = f"found[{(lane + 1) * word - 1}:{lane * word + start}]", kept(hardware, lane)
        one = magnified.named(f"given_{lane}")
        body.add(wire(one, f"{condition} ? {field} : {low}" if condition else field))
        if best is not None:
            greater = magnified.named(f"best_{lane}")
            body.add(wire(greater, f"{compared(one, '>', best)} ? {one.name} : {best.name}"))
            one = greater
        best = one
    assert best is not None
    body.add(f"""
        logic {magnified.type}peak;
        always_ff @(posedge clk) begin
            if (rst | clear) peak <= {low};
            else if (accept & ({best.name} > peak)) peak <= {best.name};
        end
    """)


def _exponentials(
    body: Body, unit: units.ShiftGELU, hardware: UnitHardware, magnified: Signal, word: int, start: int,
    spare: Mapping[str, int],
) -> None:  # fmt: skip
    """The exponentials of the beat that the buffer shows, and that of zero."""
    widths = unit.widths()
    ends = widths["magnified"]
    below = Interval(ends.lowest - ends.highest, 0)
    core = _shift_exp(f"{body.name}_exponential", unit, below, widths["exponential"], spare)
    zero = _shift_exp(f"{body.name}_of_zero", unit, Interval(-ends.highest, -ends.lowest), widths["of_zero"], spare)
    peak = magnified.named("peak")
    body.difference("below_peak", Interval(-ends.highest, -ends.lowest), 0, peak)
    of_zero = body.signal("of_zero", widths["of_zero"])
    body.add(wire(of_zero))
    body.instance(zero, "of_zero", score="below_peak", exponential="of_zero")
    for lane in range(hardware.lanes):
        stored = magnified.named(f"stored_{lane}")
        body.add(wire(stored, f"stored[{(lane + 1) * word - 1}:{lane * word + start}]"))
        score = body.difference(f"score_{lane}", below, stored, peak)
        power = body.signal(f"exponential_{lane}", widths["exponential"])
        body.add(wire(power))
        body.instance(core, f"exponential_{lane}", score=score.name, exponential=power.name)
        body.sum(f"total_{lane}", widths["total"], power, of_zero)


def _shift_exp(name: str, unit: units.ShiftGELU, ends: Interval, highest: Interval, spare: Mapping[str, int]) -> Module:
    """ShiftExp of I-ViT as a module."""
    body = Body(name, spare=spare)
    score = body.signal("score", ends)
    power = shift_exp(body, score, ends, unit.inverse_step, unit.shift, highest)
    body.add(f"assign exponential = {power.name};")
    header = f"""
        Exponential of ShiftGELU: {unit.source}.

          {shift_exp_formula(unit.inverse_step, unit.shift, "score").strip()}
    """
    ports = (inp("score", score.bits, signed=score.signed), out("exponential", power.bits))
    return Module(name, header, ports, body.render())


def _division(body: Body, unit: units.ShiftGELU, hardware: UnitHardware, value: Signal, word: int) -> None:
    """The divider, and the values that wait beside it."""
    lanes, widths, quotient = hardware.lanes, unit.widths(), unit.sigmoid_bits + 2
    exponential, total = widths["exponential"].bits, widths["total"].bits
    part = divider(f"{body.name}_divider", exponential + unit.sigmoid_bits + 1, total, quotient, lanes)
    each = part.inputs[2].signal.bits // lanes
    dividends = [f"{{exponential_{lane}, {unit.sigmoid_bits + 1}'d0}}" for lane in range(lanes)]
    if each > exponential + unit.sigmoid_bits + 1:
        dividends = [f"{each}'({one})" for one in dividends]
    body.add(f"wire [{lanes * quotient - 1}:0] quotient;")
    body.instance(
        part, "divider", in_valid="state == SEND", in_ready="free", in_dividend=f"{{{', '.join(dividends[::-1])}}}",
        in_divisor=f"{{{', '.join(f'total_{lane}' for lane in reversed(range(lanes)))}}}", out_quotient="quotient",
    )  # fmt: skip
    values = [f"stored[{lane * word + value.bits - 1}:{lane * word}]" for lane in range(lanes)]
    body.add(f"""
        logic [{lanes * value.bits - 1}:0] held;
        logic last;
        assign out_last = last;
        always_ff @(posedge clk) begin
            if (send) begin
                last <= row_last;
                held <= {{{", ".join(values[::-1])}}};
            end
        end
    """)


def _last(name: str, unit: units.ShiftGELU, hardware: UnitHardware, value: Signal, spare: Mapping[str, int]) -> Module:
    """From the quotient and the pre-activation to a code."""
    body, widths, q = Body(name, hardware.multiplier, spare), unit.widths(), unit.sigmoid_bits
    halves = Signal("halves", q + 2)
    nudged = body.sum("halves_nudged", Interval(0, (2 << q) + 1), halves, 1)
    sigmoid = body.shifted("sigmoid", widths["sigmoid"], nudged, 1)
    activated = body.product("activated", widths["activated"], value, sigmoid)
    scaled = body.product("scaled", widths["scaled"], activated, unit.multiplier.mantissa[0])
    shift = unit.multiplier.shift
    inner = Body(name)
    inner.parts = body.parts
    rounded_code(inner, scaled, widths["scaled"], shift, shift[0] - 1, unit.out_format)
    for text in inner.text:
        body.add(text.replace("halves", "code_halves").replace(".code_halves(", ".halves("))
    header = f"""
        Code of ShiftGELU from the quotient of exponential and total, in halves of 2^-{q}.

          sigmoid = (halves + 1) >> 1, {sigmoid.bits} bits
          activated = value * sigmoid, {activated.bits} bits
          code = code of activated * {unit.multiplier.mantissa[0]} / 2^({shift[0]}), a half up
    """
    ports = (inp("value", value.bits, signed=value.signed), inp("halves", halves.bits),
             code_port("code", unit.out_format))  # fmt: skip
    return Module(name, header, ports, body.render(), tuple(body.parts))
