"""A register in a stream."""

from __future__ import annotations

from ptqsim.rtl.hardware.verilog import Module, inp, lines, out


def stage(name: str, bits: int) -> Module:
    """One register of `bits` bits between two streams: it takes a word in the cycle in which its last one leaves."""
    body = lines(
        """
        wire accept = in_valid & in_ready;
        assign in_ready = ~out_valid | out_ready;
        """,
        """
        always_ff @(posedge clk) begin
            if (rst) out_valid <= 1'b0;
            else if (in_ready) out_valid <= in_valid;
        end
        """,
        """
        always_ff @(posedge clk) begin
            if (accept) out_data <= in_data;
        end
        """,
    )
    header = f"""
        Register of {bits} bits between two streams: a word per cycle, one cycle of latency.

          out_data = in_data, as it was taken
    """
    ports = (
        inp("clk"),
        inp("rst", 0, "synchronous, active high"),
        inp("in_valid"),
        out("in_ready"),
        inp("in_data", bits),
        out("out_valid"),
        inp("out_ready"),
        out("out_data", bits),
    )
    return Module(name, header, ports, body)
