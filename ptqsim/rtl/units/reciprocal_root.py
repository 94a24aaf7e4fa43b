"""The reciprocal root of LayerNorm: one bit of the root per cycle, or Newton's iteration, and one division."""

from __future__ import annotations

from ptqsim.rtl.hardware.verilog import Module, inp, instance, lines, out
from ptqsim.rtl.units.parts.divider import divider
from ptqsim.units.layer_norm import LayerNorm
from ptqsim.units.reference.layer_norm import RootMethod


def reciprocal_root(name: str, unit: LayerNorm) -> Module:
    """The module from V to the root of its leading bits, its reciprocal, and the number of pairs of bits of V."""
    p, bits = unit.precision, unit.widths()["variance"].bits
    pairs = -(-bits // 2)
    count = max(1, pairs.bit_length())
    newton = unit.root == RootMethod.NEWTON
    part = divider(f"{name}_divider", 2 * p, p + 1, p + 1)
    ports = (
        inp("clk"),
        inp("rst", 0, "synchronous, active high"),
        inp("in_valid"),
        out("in_ready"),
        inp("in_variance", bits, "V, not 0"),
        out("out_valid"),
        inp("out_ready"),
        out("out_root", p),
        out("out_reciprocal", p + 1),
        out("out_pairs", count, "pairs of bits of V"),
    )
    cycles = (unit.newton_steps + 1) * (p + 3) if newton else 2 * p + 3
    way = f"{unit.newton_steps} steps of Newton's iteration from 2^{p}" if newton else "a bit of it per cycle"
    header = f"""
        Reciprocal root of an integer V of {bits} bits to {p} bits: {way}, and a division.

          pairs = ceil(bits of V / 2)
          radicand = floor(V * 4^({p} - pairs)), of {2 * p - 1} or {2 * p} bits
          root = floor(sqrt(radicand))
          reciprocal = floor(2^{2 * p - 1} / root)

        A result is offered {cycles} cycles after V is taken.
    """
    body = lines(_leading(bits, pairs, count, p), *(_newton(p, unit.newton_steps) if newton else _bits(p)))
    if newton:
        wired = {"in_dividend": "inverting ? one : radicand", "in_divisor": "iterate", "out_ready": "done"}
        body = lines(body, instance(part, "divider", in_valid="ask", in_ready="idle", out_valid="divided",
                                    out_quotient="quotient", **wired))  # fmt: skip
    else:
        wired = {"in_valid": "ask", "in_ready": "idle", "in_dividend": f"{{1'b1, {2 * p - 1}'d0}}",
                 "in_divisor": "{1'b0, root}", "out_valid": "out_valid", "out_quotient": "out_reciprocal"}  # fmt: skip
        body = lines(body, instance(part, "divider", **wired))
    return Module(name, header, ports, body, (part,))


def _leading(bits: int, pairs: int, count: int, p: int) -> str:
    """Statements that find the leading pair of bits that is not zero, and move it to the top."""
    wide = 2 * pairs
    chosen = "\n    : ".join(
        f"(|wide[{2 * pair + 1}:{2 * pair}]) ? {count}'d{pair + 1}" for pair in reversed(range(1, pairs))
    )
    value = f"{chosen}\n    : {count}'d1" if pairs > 1 else f"{count}'d1"
    source = f"{wide}'(in_variance)" if wide > bits else "in_variance"
    if pairs > p:
        kept = f"moved[{wide - 1}:{wide - 2 * p}]"
        rest = f"wire unused_moved = &{{1'b0, moved[{wide - 2 * p - 1}:0]}};"
    else:
        kept = f"{{moved, {2 * (p - pairs)}'d0}}" if p > pairs else "moved"
        rest = ""
    return lines(
        f"""
        wire [{wide - 1}:0] wide = {source};
        """,
        f"wire [{count - 1}:0] pairs = {value};",
        f"wire [{count}:0] up = {{{count}'d{pairs} - pairs, 1'b0}};",
        f"wire [{wide - 1}:0] moved = wide << up;",
        rest,
        f"wire [{2 * p - 1}:0] leading = {kept};\nwire accept = in_valid & in_ready;",
        f"""
        logic [{count - 1}:0] taken_pairs;
        assign out_pairs = taken_pairs;
        always_ff @(posedge clk) begin
            if (accept) taken_pairs <= pairs;
        end
        """,
    )


def _bits(p: int) -> tuple[str, ...]:
    count = max(1, (p - 1).bit_length())
    return (
        f"""
        // The root so far, r, and what is left of the leading bits of the radicand, their value less r^2: 2 r at most.
        logic [{2 * p - 1}:0] radicand;
        logic [{p - 1}:0] root;
        logic [{p}:0] rest;
        logic [{count - 1}:0] place;
        logic rooting;
        logic ask;
        wire idle;
        wire [{p + 2}:0] next = {{rest, radicand[{2 * p - 1}:{2 * p - 2}]}};
        wire [{p + 2}:0] trial = {{1'b0, root, 2'd1}};
        wire fits = next >= trial;
        wire [{p + 2}:0] left = fits ? next - trial : next;
        wire unused_left = &{{1'b0, left[{p + 2}:{p + 1}]}};
        assign in_ready = ~rooting & ~ask & idle;
        assign out_root = root;
        """,
        f"""
        always_ff @(posedge clk) begin
            if (rst) begin
                rooting <= 1'b0;
                ask <= 1'b0;
            end else begin
                if (accept) rooting <= 1'b1;
                if (rooting & (place == {count}'d0)) begin
                    rooting <= 1'b0;
                    ask <= 1'b1;
                end
                if (ask & idle) ask <= 1'b0;
            end
        end
        """,
        f"""
        always_ff @(posedge clk) begin
            if (accept) begin
                radicand <= leading;
                root <= {p}'d0;
                rest <= {p + 1}'d0;
                place <= {count}'d{p - 1};
            end else if (rooting) begin
                radicand <= radicand << 2;
                root <= {{root[{p - 2}:0], fits}};
                rest <= left[{p}:0];
                place <= place - {count}'d1;
            end
        end
        """,
    )


def _newton(p: int, steps: int) -> tuple[str, ...]:
    count = max(1, (steps - 1).bit_length())
    return (
        f"""
        logic [{2 * p - 1}:0] radicand;
        logic [{p}:0] iterate;
        logic [{count - 1}:0] place;
        logic running;
        logic inverting;  // the last division
        logic ask;
        wire idle;
        wire divided;
        wire [{p}:0] quotient;
        wire [{2 * p - 1}:0] one = {{1'b1, {2 * p - 1}'d0}};
        wire [{p + 1}:0] sum = {p + 2}'(iterate) + {p + 2}'(quotient);
        wire [{p}:0] mean = sum[{p + 1}:1];
        wire unused_sum = sum[0];
        wire done = inverting ? out_ready : 1'b1;
        assign in_ready = ~running;
        assign out_valid = divided & inverting;
        assign out_reciprocal = quotient;
        assign out_root = iterate[{p - 1}:0];
        """,
        f"""
        always_ff @(posedge clk) begin
            if (rst) begin
                running <= 1'b0;
                inverting <= 1'b0;
                ask <= 1'b0;
            end else begin
                if (accept) running <= 1'b1;
                if (accept | (divided & ~inverting)) ask <= 1'b1;
                else if (idle) ask <= 1'b0;
                if (accept) inverting <= 1'b0;
                else if (divided & (place == {count}'d0)) inverting <= 1'b1;
                if (out_valid & out_ready) running <= 1'b0;
            end
        end
        """,
        f"""
        always_ff @(posedge clk) begin
            if (accept) begin
                radicand <= leading;
                iterate <= {{1'b1, {p}'d0}};
                place <= {count}'d{steps - 1};
            end else if (divided & ~inverting) begin
                // Below the root a step would go up again: the lesser is kept.
                if (mean < iterate) iterate <= mean;
                place <= place - {count}'d1;
            end
        end
        """,
    )
