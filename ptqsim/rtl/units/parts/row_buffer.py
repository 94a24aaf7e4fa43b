"""A memory for the beats of one row, which are read again as often as needed."""

from __future__ import annotations

from ptqsim.rtl.hardware.verilog import Module, inp, lines, out


def row_buffer(name: str, beats: int, bits: int) -> Module:
    """A memory of `beats` words of `bits` bits, with a place for writing and one for reading."""
    address = max(1, (beats - 1).bit_length())
    body = lines(
        f"""
        logic [{bits - 1}:0] row [0:{beats - 1}];
        logic [{address - 1}:0] filled;  // where the next word goes
        logic [{address - 1}:0] newest;  // where the last one went
        logic [{address - 1}:0] place;
        assign out_data = row[place];
        assign out_last = place == newest;
        """,
        """
        always_ff @(posedge clk) begin
            if (write) row[filled] <= in_data;
        end
        """,
        f"""
        always_ff @(posedge clk) begin
            if (rst | clear) begin
                filled <= {address}'d0;
                newest <= {address}'d0;
            end else if (write) begin
                filled <= filled + {address}'d1;
                newest <= filled;
            end
            if (rst | clear | rewind) place <= {address}'d0;
            else if (step) place <= place + {address}'d1;
        end
        """,
    )
    header = f"""
        Buffer of one row: up to {beats} words of {bits} bits.

          out_data = row[place], the word at the place for reading
    """
    ports = (
        inp("clk"),
        inp("rst", 0, "synchronous, active high"),
        inp("write", 0, "put a word behind the last one"),
        inp("in_data", bits),
        inp("step", 0, "go on to the next word"),
        inp("rewind", 0, "go back to the first word"),
        inp("clear", 0, "forget all words"),
        out("out_data", bits),
        out("out_last", 0, "it is the last word that was written"),
    )
    return Module(name, header, ports, body)
