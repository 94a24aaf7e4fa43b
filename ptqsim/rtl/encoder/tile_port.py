"""A tile between streams of single words: weights are gathered to words of all columns, results sent one by one."""

from __future__ import annotations

from ptqsim.rtl.hardware.tile import tile
from ptqsim.rtl.hardware.unit import Unit
from ptqsim.rtl.hardware.verilog import Module, Signal, inp, instance, lines, out, part_of, unused, wire


def tile_port(unit: Unit, columns: int, word_bits: int) -> Module:
    """A tile whose weights, activations and results are one per cycle."""
    inner = tile(unit, columns, any_depth=True)
    b, result = unit.b.bits, unit.result.bits
    lane = max(1, (columns - 1).bit_length())
    shifts = [inp(one.name, one.bits, "shift of this product") for one in unit.shift_inputs]
    fields = "\n".join(
        f"            if (gather & (lane == {lane}'d{column})) {part_of('gathered', column, b)} <= b_code;"
        for column in range(columns)
    )
    kept = min(word_bits, result)
    # A result fits the words of its edge: the plan proves it.
    dropped = unused("result", f"row[{result - 1}:{kept}]") if kept < result else ""
    value = f"row[{kept - 1}:0]"
    extended = f"{{{{{word_bits - kept}{{row[{kept - 1}]}}}}, {value}}}" if word_bits > kept else value
    rest = f"{{{result}'d0, row[{columns * result - 1}:{result}]}}" if columns > 1 else f"{result}'d0"
    body = lines(
        f"""
        // Weights of one step, column after column; columns beyond the last one keep what they had.
        logic [{columns * b - 1}:0] gathered;
        logic [{lane - 1}:0] lane;
        logic full;
        logic final_step;
        wire w_ready;
        wire gather = b_valid & b_ready;
        assign b_ready = ~full | w_ready;
        always_ff @(posedge clk) begin
            if (rst | restart) begin
                full <= 1'b0;
                lane <= {lane}'d0;
            end else begin
                if (b_ready) full <= b_valid & b_row_last;
                if (gather) lane <= b_row_last ? {lane}'d0 : lane + {lane}'d1;
            end
            if (gather) final_step <= b_last;
        end
        always_ff @(posedge clk) begin\n{fields}
        end
        """,
        wire(Signal("results", columns * result)),
        "wire results_valid;\nwire results_ready;",
        instance(
            inner, "tile", w_restart="restart", w_valid="full", w_last="final_step", w_code="gathered",
            in_valid="a_valid", in_ready="a_ready", out_valid="results_valid", out_ready="results_ready",
            out_result="results",
        ),
        f"""
        // Results of one row, which leave one by one while the tile works on the next.
        logic [{columns * result - 1}:0] row;
        logic busy;
        assign results_ready = ~busy | (o_ready & o_row_last);
        assign o_valid = busy;
        assign o_word = {extended};
        always_ff @(posedge clk) begin
            if (rst) busy <= 1'b0;
            else if (results_ready) busy <= results_valid;
            if (results_ready) row <= results;
            else if (o_ready) row <= {rest};
        end
        """,
        dropped,
    )  # fmt: skip
    header = f"""
        Tile of {columns} columns between streams of single words.

          o_word = results[j] of a row, j from 0 on to that with o_row_last

        The codes of a step's weights come column by column, the last of them with b_row_last, and that of the last step
        with b_last; fewer than {columns} columns are legal. restart lets new weights in.
    """
    ports = (
        inp("clk"),
        inp("rst", 0, "synchronous, active high"),
        inp("restart", 0, "new weights follow"),
        inp("a_valid", 0, "an activation is offered"),
        out("a_ready", 0, "it is taken at this edge"),
        inp("a_code", unit.a.bits, f"{unit.a.kind} code"),
        inp("b_valid", 0, "a weight is offered"),
        out("b_ready", 0, "it is taken at this edge"),
        inp("b_code", b, f"{unit.b.kind} code"),
        inp("b_row_last", 0, "it is the last one of its step"),
        inp("b_last", 0, "it is the last one of all"),
        *shifts,
        out("o_valid", 0, "a result is offered"),
        inp("o_ready", 0, "it is taken at this edge"),
        inp("o_row_last", 0, "it is the last one of its row"),
        out("o_word", word_bits, "a result, its sign extended"),
    )
    return Module(f"{unit.name}_port", header, ports, body, (inner,))
