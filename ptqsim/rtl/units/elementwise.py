"""Streams of elements: a core for every lane, the constants of the channels, and a register."""

from __future__ import annotations

from collections.abc import Mapping

from ptqsim.rtl.hardware.verilog import Module, Port, Signal, inp, out, part_of, wire
from ptqsim.rtl.units.body import Body
from ptqsim.rtl.units.cores import core
from ptqsim.rtl.units.hardware import UnitHardware
from ptqsim.rtl.units.parts.channels import Channels
from ptqsim.rtl.units.parts.stage import stage


def elementwise(hardware: UnitHardware, spare: Mapping[str, int]) -> Module:
    """A beat of `lanes` elements per cycle in, their codes out, one cycle later."""
    unit, lanes, name = hardware.unit, hardware.lanes, f"{hardware.name}_{hardware.unit.kind}"
    inner, channels = core(hardware, spare)
    body, bits = Body(name), unit.out_format.bits
    words = add_channels(body, channels, hardware, "in_valid & in_ready")
    codes = Signal("code", lanes * bits)
    body.add(wire(codes))
    for lane in range(lanes):
        wired = {one.name: part_of(f"in_{one.name}", lane, one.bits) for one in unit.inputs}
        wired |= channels.slices(words, lane)
        body.instance(inner, f"core_{lane}", **wired, code=part_of("code", lane, bits))
    register = stage(f"{name}_stage", codes.bits)
    body.instance(register, "stage", in_data="code", out_data="out_code")
    ports = (
        inp("clk"),
        inp("rst", 0, "synchronous, active high"),
        *offered(hardware),
        *taken(hardware),
    )
    several = f"{lanes} elements" if lanes > 1 else "an element"
    rows = (
        f"Rows have {unit.channels} channels and take {hardware.beats} beats; the surplus lanes of the last one are "
        "ignored, and their codes mean nothing."
        if unit.channels is not None
        else "Constants are the same for all elements."
    )
    header = f"""
        Stream of {unit.kind}: {several} per cycle, one cycle of latency.

          out_code = core(in_{", in_".join(one.name for one in unit.inputs)}), element by element

        {rows}
    """
    return Module(name, header, ports, body.render(), tuple(body.parts))


def offered(hardware: UnitHardware, last: bool = False) -> tuple[Port, ...]:
    """Ports of the input stream."""
    lanes = hardware.lanes
    data = [inp(f"in_{one.name}", lanes * one.bits, signed=True, fields=lanes) for one in hardware.unit.inputs]
    mask = [inp("in_keep", lanes, "lanes that count, the first ones", fields=lanes)] if hardware.masked else []
    end = [inp("in_last", 0, "it is the last one of its row")] if last else []
    return inp("in_valid", 0, "a beat is offered"), out("in_ready", 0, "it is taken at this edge"), *end, *mask, *data


def taken(hardware: UnitHardware, last: bool = False) -> tuple[Port, ...]:
    """Ports of the output stream."""
    lanes, fmt = hardware.lanes, hardware.unit.out_format
    code = out("out_code", lanes * fmt.bits, f"{fmt.kind} code", fields=lanes)
    end = [out("out_last", 0, "it is the last one of its row")] if last else []
    valid = out("out_valid", 0, "codes are offered")
    return valid, inp("out_ready", 0, "they are taken at this edge"), *end, code


def add_channels(body: Body, channels: Channels, hardware: UnitHardware, advance: str) -> str:
    """Statements that count beats of a row and look up the constants; the name of the word that has them."""
    if not channels.fields:
        return ""
    beats = hardware.beats
    bits = max(1, (beats - 1).bit_length())
    rom = channels.rom(f"{body.name}_constants", hardware.lanes)
    body.add(f"""
        // Place in the row, whose channels have constants of their own.
        logic [{bits - 1}:0] beat;
        always_ff @(posedge clk) begin
            if (rst) beat <= {bits}'d0;
            else if ({advance}) beat <= (beat == {bits}'d{beats - 1}) ? {bits}'d0 : beat + {bits}'d1;
        end
        wire [{hardware.lanes * channels.bits - 1}:0] constants;
    """)
    body.instance(rom, "constants", index="beat", value="constants")
    return "constants"
