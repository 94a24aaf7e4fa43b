"""The dot-product unit: a processing element behind valid and ready."""

from __future__ import annotations

from ptqsim.rtl.hardware.correction import rest_signal, rest_unit
from ptqsim.rtl.hardware.element import constant_ports, processing_element
from ptqsim.rtl.hardware.product import shift_ports
from ptqsim.rtl.hardware.step import code_ports
from ptqsim.rtl.hardware.unit import Unit
from ptqsim.rtl.hardware.verilog import Module, Signal, inp, instance, lines, out, wire


def dot_product(unit: Unit) -> Module:
    """A stream of steps in, one result after each last step out."""
    element = processing_element(unit)
    ports = (
        inp("clk"),
        inp("rst", 0, "synchronous, active high"),
        inp("in_valid", 0, "a step is offered"),
        out("in_ready", 0, "it is taken at this edge"),
        inp("in_last", 0, "it is the last one of its output"),
        *code_ports(unit),
        *shift_ports(unit),
        *constant_ports(unit, "constant", "of this output, taken with its first step"),
        out("out_valid", 0, "a result is offered"),
        inp("out_ready", 0, "it is taken at this edge"),
        out("out_result", unit.result.bits, "in units of scale_a * scale_b", signed=True),
        *(
            [out("out_trapped", 0, "an addition on the way did not fit: the result means nothing")]
            if unit.traps
            else []
        ),
    )
    wires = {"result": "out_result", "enable": "accept"} | ({"trapped": "out_trapped"} if unit.traps else {})
    body = lines(
        """
        // The registers of the element hold the result until it is taken, and start anew in the same cycle.
        wire accept = in_valid & in_ready;
        assign in_ready = ~out_valid | out_ready;
        """,
        tile_counter(unit, "accept", "in_last"),
        """
        logic first;
        always_ff @(posedge clk) begin
            if (rst) begin
                first <= 1'b1;
                out_valid <= 1'b0;
            end else if (accept) begin
                first <= in_last;
                out_valid <= in_last;
            end else if (out_ready) begin
                out_valid <= 1'b0;
            end
        end
        """,
        row_rest(unit),
        instance(element, "element", **wires),
    )
    header = f"""
        Dot-product unit: {unit.lanes} product{"s" if unit.lanes > 1 else ""} per cycle, one result per output.

          out_result = sum over the steps up to in_last of value(a_code) * value(b_code), as the element adds them

        A step is taken at a rising edge with in_valid and in_ready, a result with out_valid and out_ready. An offer,
        once made, has to stand until it is taken. There are no idle cycles between outputs.
    """
    return Module(f"{unit.name}_dot", header, ports, body, (element, *([rest_unit(unit)] if unit.adds_rest else [])))


def row_rest(unit: Unit) -> str:
    """The rest of the row that is under way, where zero points are corrected by one."""
    if not unit.adds_rest:
        return ""
    rest = Signal("rest", len(unit.pairs) * rest_signal(unit).bits, signed=len(unit.pairs) == 1)
    return lines(wire(rest), instance(rest_unit(unit), "rest", enable="accept"))


def tile_counter(unit: Unit, taken: str, last: str) -> str:
    """Statements that end the tiles of a split order; empty for other orders."""
    if unit.split is None:
        return ""
    top = unit.split.tile - 1
    bits = max(1, top.bit_length())
    return f"""
        // Place in the tile: {unit.split.tile} products, or fewer where the output ends.
        logic [{bits - 1}:0] place;
        wire tile_end = {last} | (place == {bits}'d{top});
        always_ff @(posedge clk) begin
            if (rst) place <= {bits}'d0;
            else if ({taken}) place <= tile_end ? {bits}'d0 : place + {bits}'d1;
        end
    """
