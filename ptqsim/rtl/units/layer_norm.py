"""LayerNorm of a stream of rows: sums while a row is taken, the reciprocal root, then a code for every element."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from ptqsim import units
from ptqsim.rtl.hardware.verilog import Module, Signal, inp, part_of, wire
from ptqsim.rtl.units.body import Body, at, compared
from ptqsim.rtl.units.cores import of_amounts, rounded_code
from ptqsim.rtl.units.elementwise import add_channels, offered, taken
from ptqsim.rtl.units.hardware import UnitHardware
from ptqsim.rtl.units.parts.channels import Channels
from ptqsim.rtl.units.parts.encode import code_port
from ptqsim.rtl.units.parts.stage import stage
from ptqsim.rtl.units.reciprocal_root import reciprocal_root
from ptqsim.rtl.units.rows import add_rows, kept
from ptqsim.units.interval import Interval


def layer_norm(hardware: UnitHardware, spare: Mapping[str, int]) -> Module:
    """Rows of the residual stream in, and after the last element of a row its codes out."""
    unit, lanes, name = cast("units.LayerNorm", hardware.unit), hardware.lanes, f"{hardware.name}_layer_norm"
    body, k = Body(name, hardware.multiplier, spare), unit.out_format.bits
    add_rows(body, hardware, "ROOT", "rooted", lanes * unit.x_bits, "in_x")
    _sums(body, unit, hardware)
    _variance(body, unit)
    channels = Channels({"gain": unit.gain, "offset": unit.offset}, unit.features)
    root = reciprocal_root(f"{name}_root", unit)
    reciprocal, pairs = (port.signal.named(port.name.removeprefix("out_")) for port in root.outputs[3:])
    body.add(f"""
        wire rooted;
        wire [{reciprocal.bits - 1}:0] reciprocal;
        wire [{pairs.bits - 1}:0] pairs;
        wire [{unit.precision - 1}:0] unused_root;
        wire unused_ready;
        logic asked;  // the root is under way
        always_ff @(posedge clk) begin
            if (rst | clear) asked <= 1'b0;
            else if (state == ROOT) asked <= 1'b1;
        end
    """)
    body.instance(
        root, "root", in_valid="(state == ROOT) & ~asked", in_ready="unused_ready", in_variance="variance",
        out_valid="rooted", out_ready="clear", out_root="unused_root", out_reciprocal="reciprocal", out_pairs="pairs",
    )  # fmt: skip
    words = add_channels(body, channels, hardware, "send")
    core = _element(f"{name}_core", unit, hardware, channels, reciprocal, pairs, spare)
    body.add(wire(Signal("code", lanes * k)))
    for lane in range(lanes):
        wired = {"x": part_of("stored", lane, unit.x_bits), "code": part_of("code", lane, k)}
        body.instance(core, f"core_{lane}", **wired, **channels.slices(words, lane))
    body.instance(stage(f"{name}_stage", lanes * k + 1), "stage", in_valid="state == SEND", in_ready="free",
                  in_data="{row_last, code}", out_data="{out_last, out_code}")  # fmt: skip
    ports = (
        inp("clk"),
        inp("rst", 0, "synchronous, active high"),
        *offered(hardware),
        *taken(hardware, last=True),
    )
    header = f"""
        LayerNorm of rows of {unit.features} integers of {unit.x_bits} bits, to codes of {unit.out_format.short()}.

          variance = max(1, {unit.features} * sum x^2 - (sum x)^2 + {unit.epsilon})
          out_code = code of ({unit.features} * x - sum x) / sqrt(variance) * gain + offset

        A row of {hardware.beats} beats is taken into a buffer while it is summed up; then the root is found, and a beat
        of codes follows per cycle. Surplus lanes of the last beat are ignored, and their codes mean nothing.
    """
    return Module(name, header, ports, body.render(), tuple(body.parts))


def _sums(body: Body, unit: units.LayerNorm, hardware: UnitHardware) -> None:
    """The sums of the elements and of their squares."""
    widths, b = unit.widths(), unit.x_bits
    total, squares = body.signal("total", widths["total"]), body.signal("squares", widths["squares"])
    x = Interval(-(1 << (b - 1)), (1 << (b - 1)) - 1)
    added, squared = [], []
    for lane in range(hardware.lanes):
        field, condition = part_of("in_x", lane, b), kept(hardware, lane)
        value = body.let(f"x_{lane}", x, f"{condition} ? {field} : {b}'d0" if condition else field)
        square = body.product(f"square_{lane}", Interval(0, x.lowest**2), value, value, "square")
        added.append(at(value, total.bits))
        squared.append(at(square, squares.bits))
    body.add(
        f"logic {total.type}total;\nlogic {squares.type}squares;\n"
        "always_ff @(posedge clk) begin\n"
        "    if (rst | clear) begin\n"
        f"        total <= {total.bits}'d0;\n        squares <= {squares.bits}'d0;\n"
        "    end else if (accept) begin\n"
        f"        total <= total + {' + '.join(added)};\n        squares <= squares + {' + '.join(squared)};\n"
        "    end\nend"
    )


def _variance(body: Body, unit: units.LayerNorm) -> None:
    """The wire `variance`, which is at least 1."""
    widths = unit.widths()
    total, squares = body.signal("total", widths["total"]), body.signal("squares", widths["squares"])
    scaled = body.product("scaled_squares", widths["scaled_squares"], squares, unit.features)
    squared = body.product("squared_total", widths["squared_total"], total, total)
    # What is subtracted is never more, by the inequality of Cauchy and Schwarz.
    spread = body.difference("spread", Interval(0, widths["variance"].highest), scaled, squared)
    if unit.epsilon:
        body.sum("variance", widths["variance"], spread, unit.epsilon)
        return
    body.add(f"wire flat = {compared(spread, '==', 0)};")
    body.choice("variance", widths["variance"], "flat", 1, spread)


def _element(
    name: str, unit: units.LayerNorm, hardware: UnitHardware, channels: Channels, reciprocal: Signal, pairs: Signal,
    spare: Mapping[str, int],
) -> Module:  # fmt: skip
    """The combinational module from one element, the sum, the reciprocal root and the constants to a code."""
    widths, p = unit.widths(), unit.precision
    body = Body(name, hardware.multiplier, spare)
    total, x = body.signal("total", widths["total"]), Signal("x", unit.x_bits, True)
    ends = Interval(-(1 << (x.bits - 1)), (1 << (x.bits - 1)) - 1)
    multiple = body.product("multiple", ends * Interval(unit.features, unit.features), x, unit.features)
    centered = body.difference("centered", widths["centered"], multiple, total)
    weighted = body.product("weighted", widths["weighted"], centered, reciprocal)
    # shift = p - 1 - fraction + pairs; halves are one bit less of it, and left of all shifts where one is negative.
    shift = widths["shift"]
    left = max(0, 1 - shift.lowest)
    wide = Interval(weighted_low := widths["weighted"].lowest << left, -weighted_low)
    raised = body.shifted("raised", wide, weighted, -left) if left else weighted
    amounts = of_amounts((shift.lowest, shift.highest))
    amount = body.sum("amount", Interval(0, amounts[1]), pairs, p - 2 - unit.fraction + left)
    z = widths["normalized"]
    halves = body.moved("halves_of_z", Interval(2 * z.lowest - 1, 2 * z.highest), raised, amount)
    nudged = body.sum("nudged_z", Interval(2 * z.lowest, 2 * z.highest + 1), halves, 1)
    normalized = body.shifted("normalized", z, nudged, 1)
    product = body.product("product", widths["product"], normalized, channels.operand("gain"))
    scaled = body.sum("scaled", widths["scaled"], product, channels.operand("offset"))
    last = unit.fraction + unit.gain_fraction
    rounded_code(body, scaled, widths["scaled"], (last,), last - 1, unit.out_format)
    header = f"""
        One element of LayerNorm, to a code of {unit.out_format.short()}.

          centered = {unit.features} * x - total, {centered.bits} bits
          weighted = centered * reciprocal, {weighted.bits} bits
          normalized = weighted / 2^(pairs + {p - 1 - unit.fraction}), a half up, {normalized.bits} bits
          scaled = normalized * gain + offset, {scaled.bits} bits
          code = code of scaled / 2^{last}, a half up
    """
    ports = (
        inp("x", x.bits, signed=True),
        inp("total", total.bits, "sum of the row", signed=total.signed),
        inp("reciprocal", reciprocal.bits),
        inp("pairs", pairs.bits),
        *channels.ports,
        code_port("code", unit.out_format),
    )
    return Module(name, header, ports, body.render(), tuple(body.parts))
