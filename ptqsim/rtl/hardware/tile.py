"""The weight-stationary tile: columns of processing elements that keep their weights and share the activations."""

from __future__ import annotations

from ptqsim.common.validation import checked_integer
from ptqsim.rtl.hardware.correction import constant_signal, rest_unit
from ptqsim.rtl.hardware.dot_product import row_rest, tile_counter
from ptqsim.rtl.hardware.element import constant_ports, processing_element
from ptqsim.rtl.hardware.product import shift_ports
from ptqsim.rtl.hardware.step import code_ports
from ptqsim.rtl.hardware.unit import Unit
from ptqsim.rtl.hardware.verilog import Module, inp, instance, lines, out, part_of

MAX_COLUMNS = 256


def tile(unit: Unit, columns: int, any_depth: bool = False) -> Module:
    """A tile of `columns` outputs per row, `unit.depth` products each.

    Parameters
    ----------
    unit : Unit
        The processing elements.
    columns : int
        Outputs per row, 1 to 256.
    any_depth : bool, optional
        The weights end with the word that comes with `w_last`, after any number of steps up to those of the unit.

    Raises
    ------
    ValueError
        If there are not from 1 to 256 columns.
    """
    columns = checked_integer("columns", columns, 1, MAX_COLUMNS)
    element = processing_element(unit)
    word = unit.lanes * unit.b.bits
    index = max(1, (unit.steps - 1).bit_length())
    result = unit.result.bits
    ports = (
        inp("clk"),
        inp("rst", 0, "synchronous, active high"),
        inp("w_restart", 0, "take new weights; only between rows"),
        inp("w_valid", 0, "the weights of a step are offered"),
        out("w_ready", 0, "they are taken at this edge"),
        *([inp("w_last", 0, "they are the last ones: a row has as many steps")] if any_depth else []),
        inp("w_code", columns * word, "of every column, column 0 lowest", fields=columns * unit.lanes),
        *constant_ports(unit, "w_constant", "of every column, taken with the last word of weights", columns),
        inp("in_valid", 0, "the activations of a step are offered"),
        out("in_ready", 0, "they are taken at this edge"),
        code_ports(unit)[0],
        *shift_ports(unit),
        out("out_valid", 0, "the results of a row are offered"),
        inp("out_ready", 0, "they are taken at this edge"),
        out("out_result", columns * result, "of every column, column 0 lowest", signed=True, fields=columns),
        *([out("out_trapped", columns, "of every column, column 0 lowest", fields=columns)] if unit.traps else []),
    )
    constant = len(unit.pairs) * constant_signal(unit).bits
    full = "w_last" if any_depth else f"w_step == {index}'d{unit.steps - 1}"
    final = "newest" if any_depth else f"{index}'d{unit.steps - 1}"
    elements = [
        instance(
            element,
            f"element_{column}",
            enable="accept",
            b_code=part_of("weights_now", column, word),
            result=part_of("out_result", column, result),
            **({"trapped": f"out_trapped[{column}]"} if unit.traps else {}),
            **({"constant": part_of("constants", column, constant)} if unit.preloads else {}),
        )
        for column in range(columns)
    ]
    body = lines(
        f"""
        // The weights: one word per step, filled from step 0 on.
        logic [{columns * word - 1}:0] weights [0:{unit.steps - 1}];
        logic [{index - 1}:0] w_step;
        logic loaded;
        assign w_ready = ~loaded;
        always_ff @(posedge clk) begin
            if (rst | w_restart) begin
                loaded <= 1'b0;
                w_step <= {index}'d0;
            end else if (w_valid & w_ready) begin
                loaded <= {full};
                w_step <= w_step + {index}'d1;
            end
        end
        always_ff @(posedge clk) begin
            if (w_valid & w_ready) weights[w_step] <= w_code;
        end
        """,
        _newest(index) if any_depth else "",
        f"""
        // The row that is under way.
        logic [{index - 1}:0] step;
        wire [{columns * word - 1}:0] weights_now = weights[step];
        wire accept = in_valid & in_ready;
        wire first = step == {index}'d0;
        wire last = step == {final};
        assign in_ready = loaded & (~out_valid | out_ready);
        always_ff @(posedge clk) begin
            if (rst) begin
                step <= {index}'d0;
                out_valid <= 1'b0;
            end else if (accept) begin
                step <= last ? {index}'d0 : step + {index}'d1;
                out_valid <= last;
            end else if (out_ready) begin
                out_valid <= 1'b0;
            end
        end
        """,
        _constants(unit, columns * constant, full),
        tile_counter(unit, "accept", "last"),
        row_rest(unit),
        *elements,
    )
    depth, words, steps = f"{unit.depth}", f"{unit.steps}", f"{unit.steps}"
    if any_depth:
        depth, words, steps = f"up to {depth}", f"up to {words}", "as many"
    header = f"""
        Weight-stationary tile: {columns} columns, {depth} products per output, {unit.lanes} of them per cycle.

          out_result[j] = sum over l of value(a[l]) * value(w[l, j]), as the elements add them

        First {words} words of weights are taken, one per step, each with the codes of every column. Then every row
        of activations, {steps} steps each, gives one word of results; the weights stay where they are. w_restart
        lets new weights in, between rows. Steps, words and results are taken at a rising edge with valid and ready; an
        offer, once made, has to stand until it is taken. A last step that is not full is filled up with {unit.filler}.
    """
    return Module(f"{unit.name}_tile", header, ports, body, (element, *([rest_unit(unit)] if unit.adds_rest else [])))


def _newest(index: int) -> str:
    """The register of the last step, where depths differ."""
    return f"""
        // The last step of a row: that of the last word of weights.
        logic [{index - 1}:0] newest;
        always_ff @(posedge clk) begin
            if (w_valid & w_ready) newest <= w_step;
        end
    """


def _constants(unit: Unit, bits: int, full: str) -> str:
    """The registers of the constants that correct for a zero point of the activations."""
    if not unit.preloads:
        return ""
    return f"""
        // The constants of the columns, which come with the last word of weights.
        logic [{bits - 1}:0] constants;
        always_ff @(posedge clk) begin
            if (w_valid & w_ready & ({full})) constants <= w_constant;
        end
    """
