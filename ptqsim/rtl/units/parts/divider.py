"""Iterative dividers: one bit of the quotient per cycle, by restoring division."""

from __future__ import annotations

from ptqsim.rtl.hardware.verilog import Module, Signal, inp, lines, out, part_of


def divider(name: str, dividend: int, divisor: int, quotient: int, lanes: int = 1, remainder: bool = False) -> Module:
    """Divide unsigned integers of `dividend` by such of `divisor` bits; quotients are below ``2**quotient``.

    Parameters
    ----------
    name : str
        Of the module.
    dividend, divisor, quotient : int
        Widths; every quotient that is asked for has to fit.
    lanes : int, optional
        Divisions side by side.
    remainder : bool, optional
        Also an output that says that the remainder is not zero.
    """
    dividend = max(dividend, quotient)
    rest = max(divisor, dividend - quotient, 1)
    count = max(1, (quotient - 1).bit_length())
    declared: list[str] = []
    loaded: list[str] = []
    stepped: list[str] = []
    results: list[str] = []
    inexact: list[str] = []
    for lane in range(lanes):
        a, b = part_of("in_dividend", lane, dividend), part_of("in_divisor", lane, divisor)
        tag = f"_{lane}" if lanes > 1 else ""
        high = f"{rest}'({part_of_range(a, dividend, quotient, lane)})" if dividend > quotient else f"{rest}'d0"
        low = f"in_dividend[{lane * dividend + quotient - 1}:{lane * dividend}]"
        declared.append(
            f"logic [{rest - 1}:0] rest{tag};  // below the divisor\n"
            f"logic [{divisor - 1}:0] divisor{tag};\n"
            f"logic [{quotient - 1}:0] quotient{tag};  // bits of the dividend above, of the quotient below\n"
            f"wire [{rest}:0] next{tag} = {{rest{tag}, quotient{tag}[{quotient - 1}]}};\n"
            f"wire [{rest}:0] wide{tag} = {Signal(f'divisor{tag}', divisor).to(rest + 1)};\n"
            f"wire fits{tag} = next{tag} >= wide{tag};\n"
            f"wire [{rest}:0] left{tag} = fits{tag} ? next{tag} - wide{tag} : next{tag};\n"
            f"wire unused_left{tag} = left{tag}[{rest}];"
        )
        loaded.append(f"        rest{tag} <= {high};\n        divisor{tag} <= {b};\n        quotient{tag} <= {low};")
        shifted = f"{{quotient{tag}[{quotient - 2}:0], fits{tag}}}" if quotient > 1 else f"fits{tag}"
        stepped.append(f"        rest{tag} <= left{tag}[{rest - 1}:0];\n        quotient{tag} <= {shifted};")
        results.insert(0, f"quotient{tag}")
        inexact.insert(0, f"|rest{tag}")
    body = lines(
        f"""
        logic busy;
        logic [{count - 1}:0] place;  // steps that are still to come after this one
        wire accept = in_valid & in_ready;
        assign in_ready = ~busy & (~out_valid | out_ready);
        """,
        *declared,
        f"""
        always_ff @(posedge clk) begin
            if (rst) begin
                busy <= 1'b0;
                out_valid <= 1'b0;
            end else begin
                if (out_ready) out_valid <= 1'b0;
                if (accept) busy <= 1'b1;
                if (busy & (place == {count}'d0)) begin
                    busy <= 1'b0;
                    out_valid <= 1'b1;
                end
            end
        end
        """,
        "always_ff @(posedge clk) begin\n    if (accept) begin\n"
        + f"        place <= {count}'d{quotient - 1};\n"
        + "\n".join(loaded)
        + f"\n    end else if (busy) begin\n        place <= place - {count}'d1;\n"
        + "\n".join(stepped)
        + "\n    end\nend",
        f"assign out_quotient = {{{', '.join(results)}}};",
        f"assign out_inexact = {{{', '.join(inexact)}}};" if remainder else "",
    )
    header = f"""
        Divider of unsigned integers, {dividend} by {divisor} bits, restoring: a bit of the quotient per cycle.

          out_quotient = floor(in_dividend / in_divisor), which has to be below 2^{quotient}

        A result is offered {quotient + 1} cycles after its operands are taken.
    """
    several = f" of {lanes} divisions" if lanes > 1 else ""
    ports = (
        inp("clk"),
        inp("rst", 0, "synchronous, active high"),
        inp("in_valid"),
        out("in_ready"),
        inp("in_dividend", lanes * dividend, f"dividend{several}", fields=lanes),
        inp("in_divisor", lanes * divisor, "divisor, not 0", fields=lanes),
        out("out_valid"),
        inp("out_ready"),
        out("out_quotient", lanes * quotient, fields=lanes),
        *([out("out_inexact", lanes, "the remainder is not 0", fields=lanes)] if remainder else []),
    )
    return Module(name, header, ports, body)


def part_of_range(field: str, bits: int, low: int, lane: int) -> str:
    """The bits from `low` on of the field of a lane."""
    bus = field.partition("[")[0]
    return f"{bus}[{(lane + 1) * bits - 1}:{lane * bits + low}]"
