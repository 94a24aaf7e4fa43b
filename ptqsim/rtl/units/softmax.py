"""Softmax of a stream of rows: the greatest score, the sum of the exponentials, and a division for every code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from ptqsim import units
from ptqsim.rtl.hardware.verilog import Module, Signal, inp, part_of, wire
from ptqsim.rtl.units.body import Body, compared
from ptqsim.rtl.units.cores import rounded_code
from ptqsim.rtl.units.elementwise import offered, taken
from ptqsim.rtl.units.exponentials import HALVINGS, exponential
from ptqsim.rtl.units.hardware import UnitHardware
from ptqsim.rtl.units.parts.divider import divider
from ptqsim.rtl.units.parts.encode import code_port, encoder, needs_remainder
from ptqsim.rtl.units.parts.row_buffer import row_buffer
from ptqsim.rtl.units.parts.stage import stage
from ptqsim.units.interval import Interval
from ptqsim.units.softmax_units.softmax_unit import DivisionMethod, SoftmaxUnit


def softmax(hardware: UnitHardware, spare: Mapping[str, int]) -> Module:
    """Rows of scores in, and after the last score of a row its codes out."""
    unit, lanes, name = cast("SoftmaxUnit", hardware.unit), hardware.lanes, f"{hardware.name}_{hardware.unit.kind}"
    style = str(hardware.multiplier)
    body = Body(name, style, spare)
    exact = unit.division.method == DivisionMethod.EXACT
    part = unit.part if isinstance(unit, units.ITASoftmax) else 0
    if part % lanes:
        raise ValueError(
            f"an ITASoftmax that sums parts of {part} scores takes as many lanes as divide that, got {lanes}"
        )
    core = exponential(f"{name}_exponential", unit, style, spare)
    _control(body, hardware, exact, part)
    _peak(body, unit, hardware)
    _exponentials(body, unit, hardware, core)
    total = _total(body, unit, lanes, part)
    (_exact if exact else _reciprocal)(body, unit, hardware, total)
    ports = (
        inp("clk"),
        inp("rst", 0, "synchronous, active high"),
        *offered(hardware, last=True),
        *taken(hardware, last=True),
    )
    way = "each by a division of its own" if exact else "by a product with the reciprocal of the sum"
    header = f"""
        Softmax of rows of up to {hardware.row_length} scores of {unit.score_bits} bits, {unit.kind}, to codes of
        {unit.out_format.short()}.

          out_code = code of exponential(peak - score) / total, total = sum of the exponentials of the row

        A row is taken into a buffer while its greatest score is found, summed in a second pass, and divided in a third,
        {way}. The next row is taken when the last beat has gone to the division.
    """
    return Module(name, header, ports, body.render(), tuple(body.parts))


def _control(body: Body, hardware: UnitHardware, exact: bool, part: int) -> None:
    """States: taking scores, summing exponentials, the reciprocal of the sum where there is one, and division."""
    bits, lanes = hardware.unit.inputs[0].bits, hardware.lanes
    word = lanes * bits + (lanes if hardware.masked else 0)
    buffer = row_buffer(f"{body.name}_row", hardware.beats, word)
    middle = "DIVIDE" if exact else "INVERT"
    after_part = f"ended ? {middle} : TAKE" if part else middle
    states = ["TAKE", *(["RISE"] if part else []), "SUM", *([] if exact else ["INVERT"]), "DIVIDE"]
    body.add(f"""
        // A row goes through the states in their order{"; parts of a row through the first ones" if part else ""}.
        localparam [2:0] {", ".join(f"{name} = 3'd{place}" for place, name in enumerate(states))};
        logic [2:0] state;
        wire accept = in_valid & in_ready;
        assign in_ready = state == TAKE;
        wire send;  // a beat leaves for the division
        wire row_last;
        wire step = (state == SUM) | send;
        wire clear = send & row_last;
    """)  # fmt: skip
    if part:
        count = part // lanes
        place = max(1, (count - 1).bit_length())
        body.add(f"""
            // Scores are summed in parts of {part}.
            logic ended;
            logic [{place - 1}:0] of_part;
            wire part_last = in_last | (of_part == {place}'d{count - 1});
            always_ff @(posedge clk) begin
                if (rst) of_part <= {place}'d0;
                else if (accept) of_part <= part_last ? {place}'d0 : of_part + {place}'d1;
                if (accept) ended <= in_last;
            end
        """)
    first, enough = ("RISE", "part_last") if part else ("SUM", "in_last")
    rise = "            RISE: state <= SUM;\n" if part else ""
    invert = "" if exact else "            INVERT: if (inverted) state <= DIVIDE;\n"
    body.add(
        "always_ff @(posedge clk) begin\n"
        "    if (rst) state <= TAKE;\n"
        "    else\n"
        "        case (state)\n"
        f"            TAKE: if (accept & {enough}) state <= {first};\n"
        f"{rise}"
        f"            SUM: if (row_last) state <= {after_part};\n"
        f"{invert}"
        "            DIVIDE: if (clear) state <= TAKE;\n"
        "            default: state <= TAKE;\n"
        "        endcase\n"
        "end"
    )
    data = "{in_keep, in_score}" if hardware.masked else "in_score"
    body.add(f"wire [{word - 1}:0] stored;")
    rewind = "(state == SUM) & row_last" + (" & ended" if part else "")
    body.instance(
        buffer, "row", write="accept", in_data=data, step="step", rewind=rewind, clear="clear",
        out_data="stored", out_last="row_last",
    )  # fmt: skip


def _peak(body: Body, unit: SoftmaxUnit, hardware: UnitHardware) -> None:
    """The greatest score of all that came."""
    bits, lanes = unit.score_bits, hardware.lanes
    least = f"{bits}'h{1 << (bits - 1):x}"
    names = []
    for lane in range(lanes):
        given = Signal(f"given_{lane}", bits, True)
        field = part_of("in_score", lane, bits)
        body.add(wire(given, f"in_keep[{lane}] ? {field} : {least}" if hardware.masked else field))
        names.append(given)
    best = names[0]
    for lane, one in enumerate(names[1:], 1):
        best = body.let(
            f"best_{lane}", Interval(-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
            f"{compared(one, '>', best)} ? {one.name} : {best.name}",
        )  # fmt: skip
    body.add(f"""
        logic signed [{bits - 1}:0] peak;
        always_ff @(posedge clk) begin
            if (rst | clear) peak <= {least};
            else if (accept & ({best.name} > peak)) peak <= {best.name};
        end
    """)


def _exponentials(body: Body, unit: SoftmaxUnit, hardware: UnitHardware, core: Module) -> None:
    """The exponentials of the beat that the buffer shows."""
    bits, lanes = unit.score_bits, hardware.lanes
    part = unit.part if isinstance(unit, units.ITASoftmax) else 0
    wide = unit.exponential.bits
    if part:
        body.add(f"logic signed [{bits - 1}:0] summed;  // the greatest score that the sum stands for")
        body.add(f"wire [{lanes * HALVINGS - 1}:0] halvings;")
    for lane in range(lanes):
        score, distance, power = (
            Signal(f"score_{lane}", bits, True), Signal(f"distance_{lane}", bits), Signal(f"power_{lane}", wide)
        )  # fmt: skip
        value = part_of("stored", lane, bits)
        # Before the first part of a row there is no sum, so that the rise does not matter.
        body.add(wire(score, f"state == RISE ? summed : {value}" if part and lane == 0 else value))
        body.add(wire(distance, f"peak - {score.name}"))
        body.add(wire(power))
        wired = {"halvings": part_of("halvings", lane, HALVINGS)} if part else {}
        body.instance(core, f"exponential_{lane}", distance=distance.name, exponential=power.name, **wired)
        kept = f"stored[{lanes * bits + lane}] ? {power.name} : {wide}'d0" if hardware.masked else power.name
        body.add(wire(Signal(f"exponential_{lane}", wide), kept))
    if part:
        if lanes > 1:
            body.drop("halvings", f"halvings[{lanes * HALVINGS - 1}:{HALVINGS}]")
        body.add(f"""
            always_ff @(posedge clk) begin
                if (rst | clear) summed <= {bits}'d0;
                else if (state == RISE) summed <= peak;
            end
        """)


def _total(body: Body, unit: SoftmaxUnit, lanes: int, part: int) -> Signal:
    """The sum of the exponentials so far; of a row in parts, halved as often as the greatest score rises."""
    total = body.signal("total", unit.total)
    terms = " + ".join(f"{total.bits}'(exponential_{lane})" for lane in range(lanes))
    if total.bits == unit.exponential.bits:
        terms = " + ".join(f"exponential_{lane}" for lane in range(lanes))
    rise = f"    else if (state == RISE) total <= total >> halvings[{HALVINGS - 1}:0];\n" if part else ""
    body.add(
        f"logic [{total.bits - 1}:0] total;\n"
        "always_ff @(posedge clk) begin\n"
        f"    if (rst | clear) total <= {total.bits}'d0;\n"
        f"{rise}"
        f"    else if (state == SUM) total <= total + {terms};\n"
        "end"
    )
    return total


def _exact(body: Body, unit: SoftmaxUnit, hardware: UnitHardware, total: Signal) -> None:
    """A division for every code: the quotient is that of twice the exponential by the sum."""
    lanes, widths = hardware.lanes, unit.widths()
    mantissa, shift = unit.gain
    scaled, divisor = widths["scaled"], widths["divisor"]
    top = Interval(0, 2 * scaled.highest)
    halves = Interval(0, top.highest // divisor.lowest)
    names = []
    one = mantissa << max(0, -shift)
    for lane in range(lanes):
        given = Signal(f"exponential_{lane}", unit.exponential.bits)
        names.append(body.product(f"doubled_{lane}", top, given, 2 * one).name)
    below = body.shifted("divisor", divisor, total, -max(0, shift))
    inexact = needs_remainder(unit.out_format)
    part = divider(f"{body.name}_divider", top.bits, divisor.bits, halves.bits, lanes, inexact)
    dividend_bits = part.inputs[2].signal.bits
    fields = ", ".join(f"{dividend_bits // lanes}'({name})" if dividend_bits // lanes > top.bits else name
                       for name in names[::-1])  # fmt: skip
    body.add(f"wire [{lanes * halves.bits - 1}:0] quotient;")
    body.add(f"wire [{lanes - 1}:0] remains;" if inexact else "")
    body.add("wire idle;\nassign send = (state == DIVIDE) & idle;")
    body.instance(
        part, "divider", in_valid="state == DIVIDE", in_ready="idle", in_dividend=f"{{{fields}}}",
        in_divisor=f"{{{', '.join([below.name] * lanes)}}}", out_quotient="quotient",
        **({"out_inexact": "remains"} if inexact else {}),
    )  # fmt: skip
    body.add("""
        logic last;
        always_ff @(posedge clk) begin
            if (send) last <= row_last;
        end
        assign out_last = last;
    """)
    code = encoder(f"{body.name}_encode", unit.out_format, halves)
    k = unit.out_format.bits
    for lane in range(lanes):
        wired = {"halves": f"{{1'b0, {part_of('quotient', lane, halves.bits)}}}", "code": part_of("out_code", lane, k)}
        body.instance(code, f"encode_{lane}", **wired, **({"inexact": f"remains[{lane}]"} if inexact else {}))


def _reciprocal(body: Body, unit: SoftmaxUnit, hardware: UnitHardware, total: Signal) -> None:
    """One division for every row, and a product for every code."""
    lanes, widths, power = hardware.lanes, unit.widths(), unit.division.bits
    part = divider(f"{body.name}_divider", power + 1, total.bits, widths["reciprocal"].bits)
    bits = widths["reciprocal"].bits
    body.add(f"""
        wire [{bits - 1}:0] reciprocal;
        wire inverted;
        wire unused_ready;
        logic asked;  // the division is under way
        always_ff @(posedge clk) begin
            if (rst | clear) asked <= 1'b0;
            else if (state == INVERT) asked <= 1'b1;
        end
    """)
    body.instance(
        part, "divider", in_valid="(state == INVERT) & ~asked", in_ready="unused_ready",
        in_dividend=f"{{1'b1, {power}'d0}}", in_divisor="total", out_valid="inverted", out_ready="clear",
        out_quotient="reciprocal",
    )  # fmt: skip
    k = unit.out_format.bits
    core = _scaling(f"{body.name}_scale", unit, body)
    body.add(f"wire [{lanes * k - 1}:0] code;")
    for lane in range(lanes):
        body.instance(core, f"scale_{lane}", exponential=f"exponential_{lane}", code=part_of("code", lane, k))
    register = stage(f"{body.name}_stage", lanes * k + 1)
    body.add("wire free;\nassign send = (state == DIVIDE) & free;")
    body.instance(register, "stage", in_valid="state == DIVIDE", in_ready="free", in_data="{row_last, code}",
                  out_data="{out_last, out_code}")  # fmt: skip


def _scaling(name: str, unit: SoftmaxUnit, outer: Body) -> Module:
    """The combinational module from an exponential and the reciprocal of the sum to a code."""
    widths, power = unit.widths(), unit.division.bits
    mantissa, shift = unit.gain
    body = Body(name, outer.style, outer.spare)
    one, reciprocal = Signal("exponential", unit.exponential.bits), Signal("reciprocal", widths["reciprocal"].bits)
    probability = body.product("probability", widths["probability"], one, reciprocal)
    scaled = body.product("scaled", widths["scaled"], probability, mantissa)
    amount = power + shift
    rounded_code(body, scaled, widths["scaled"], (amount,), amount - 1, unit.out_format)
    header = f"""
        Code of a quotient, by the reciprocal of the divisor.

          probability = exponential * reciprocal, {probability.bits} bits, at most 2^{power}
          code = code of probability * {mantissa} / 2^({amount}), a half up
    """
    ports = (inp("exponential", one.bits), inp("reciprocal", reciprocal.bits), code_port("code", unit.out_format))
    return Module(name, header, ports, body.render(), tuple(body.parts))
