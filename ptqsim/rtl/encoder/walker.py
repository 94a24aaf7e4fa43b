"""The address generator: nested loops counted in hardware."""

from __future__ import annotations

from ptqsim.rtl.hardware.verilog import Module, inp, lines, out, part_of


def walker(name: str, depth: int, count_bits: int, address_bits: int) -> Module:
    """Addresses of nested loops, one per word that is taken.

    Parameters
    ----------
    name : str
        Of the module.
    depth : int
        Number of loops.
    count_bits, address_bits : int
        Widths of a counter and of an address.
    """
    counters, ends, chosen = [], [], ""
    for loop in range(depth):
        inside = " & ".join(f"end_{one}" for one in range(loop))
        counters.append(
            f"logic [{count_bits - 1}:0] count_{loop};\n"
            f"wire end_{loop} = count_{loop} == {part_of('limits', loop, count_bits)};\n"
            "always_ff @(posedge clk) begin\n"
            f"    if (load) count_{loop} <= {count_bits}'d0;\n"
            f"    else if (advance{f' & {inside}' if inside else ''}) "
            f"count_{loop} <= end_{loop} ? {count_bits}'d0 : count_{loop} + {count_bits}'d1;\n"
            "end"
        )
        ends.append(f"end_{loop}")
        jump = part_of("jumps", loop, address_bits)
        chosen += f"~end_{loop} ? {jump} : " if loop < depth - 1 else jump
    body = lines(
        *counters,
        f"""
        assign row_last = end_0;
        assign last = {" & ".join(ends)};
        wire [{address_bits - 1}:0] jump = {chosen};
        """,
        """
        always_ff @(posedge clk) begin
            if (rst) valid <= 1'b0;
            else if (load) valid <= 1'b1;
            else if (advance & last) valid <= 1'b0;
            if (load) address <= base;
            else if (advance & ~last) address <= address + jump;
        end
        """,
    )
    header = f"""
        Address generator of {depth} nested loops.

          address = base + sum over the loops of count * stride

        The innermost loop is loop 0. limits[l] is the last count of loop l; jumps[l] is what is added to the address
        where loop l goes on: its stride less what the loops inside it have gone.
    """
    ports = (
        inp("clk"),
        inp("rst", 0, "synchronous, active high"),
        inp("load", 0, "begin"),
        inp("base", address_bits, "first address"),
        inp("limits", depth * count_bits, "last count of every loop", fields=depth),
        inp("jumps", depth * address_bits, "what every loop adds", fields=depth),
        inp("advance", 0, "the word is taken at this edge"),
        out("valid", 0, "there is a word left"),
        out("address", address_bits, "where it is"),
        out("row_last", 0, "it is the last one of the innermost loop"),
        out("last", 0, "it is the last one of all"),
    )
    return Module(name, header, ports, body)
