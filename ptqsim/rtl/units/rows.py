"""Rows that a unit takes into a buffer before it sends their codes: states, the mask of lanes, and the buffer."""

from __future__ import annotations

from ptqsim.rtl.units.body import Body
from ptqsim.rtl.units.hardware import UnitHardware
from ptqsim.rtl.units.parts.row_buffer import row_buffer


def kept(hardware: UnitHardware, lane: int) -> str:
    """The condition under which a lane of the beat that is offered counts; empty if it always does."""
    if hardware.masked:
        return f"in_keep[{lane}]"
    surplus = hardware.counts_rows and hardware.beats * hardware.lanes - hardware.row_length
    return "~final_beat" if surplus and lane >= hardware.lanes - surplus else ""


def add_rows(body: Body, hardware: UnitHardware, middle: str, ready: str, word: int, data: str) -> None:
    """Statements of the states TAKE, `middle` and SEND, and the buffer of words of `word` bits.

    A row that is complete stays in `middle` until `ready`. Who sends declares `free`, true when a beat may leave.
    """
    beats = hardware.beats
    bits = max(1, (beats - 1).bit_length())
    if hardware.counts_rows:
        body.add(f"""
            logic [{bits - 1}:0] taken;
            wire final_beat = taken == {bits}'d{beats - 1};
            always_ff @(posedge clk) begin
                if (rst) taken <= {bits}'d0;
                else if (in_valid & in_ready) taken <= final_beat ? {bits}'d0 : taken + {bits}'d1;
            end
        """)
    body.add(f"""
        // A row goes through the states in their order.
        localparam [1:0] TAKE = 2'd0, {middle} = 2'd1, SEND = 2'd2;
        logic [1:0] state;
        wire accept = in_valid & in_ready;
        assign in_ready = state == TAKE;
        wire free;
        wire send = (state == SEND) & free;  // a beat leaves the buffer
        wire row_last;
        wire clear = send & row_last;
        wire [{word - 1}:0] stored;
    """)
    body.add(f"""
        always_ff @(posedge clk) begin
            if (rst) state <= TAKE;
            else
                case (state)
                    TAKE: if (accept & {"final_beat" if hardware.counts_rows else "in_last"}) state <= {middle};
                    {middle}: if ({ready}) state <= SEND;
                    SEND: if (clear) state <= TAKE;
                    default: state <= TAKE;
                endcase
        end
    """)
    body.instance(
        row_buffer(f"{body.name}_row", beats, word), "row", write="accept", in_data=data, step="send", rewind="1'b0",
        clear="clear", out_data="stored", out_last="row_last",
    )  # fmt: skip
