"""One addition into a register: wrap, saturate or trap."""

from __future__ import annotations

from ptqsim.datapath.spec import OverflowMode
from ptqsim.rtl.hardware.verilog import Module, Signal, inp, lines, out, unused, wire


def accumulate(name: str, register: Signal, term: Signal, overflow: str) -> Module:
    """``sum = overflow(register + term)``; the term is exact and never clamped before it is added."""
    bits = register.bits
    ports = [
        inp("register", bits, f"what the register holds, {bits} bits", signed=True),
        inp("term", term.bits, "what is added", signed=True),
        out("sum", bits, "what the register holds next", signed=True),
    ]
    if overflow == OverflowMode.WRAP:
        return Module(name, _header(overflow, bits), tuple(ports), _wrapping(term.named("term"), bits))
    # One guard bit above the wider of the two: no sum of both needs more.
    exact = Signal("exact", max(bits, term.bits) + 1, signed=True)
    added = wire(exact, f"{register.named('register').to(exact.bits)} + {term.named('term').to(exact.bits)}")
    top = f"exact[{exact.bits - 1}:{bits - 1}]"
    fits = f"wire fits = (&{top}) | ~(|{top});  // all bits from the sign on are equal"
    if overflow == OverflowMode.SATURATE:
        limit = f"{{exact[{exact.bits - 1}], {{{bits - 1}{{~exact[{exact.bits - 1}]}}}}}}"
        end = f"wire signed [{bits - 1}:0] limit = {limit};\nassign sum = fits ? exact[{bits - 1}:0] : limit;"
    else:
        ports.append(out("overflows", 0, "the exact sum does not fit the register"))
        end = f"assign sum = exact[{bits - 1}:0];\nassign overflows = ~fits;"
    return Module(name, _header(overflow, bits), tuple(ports), lines(added, fits, end))


def _wrapping(term: Signal, bits: int) -> str:
    dropped = ""
    if term.bits > bits:
        dropped = unused("high_bits", f"term[{term.bits - 1}:{bits}]") + "  // wrapping keeps the low bits only"
    return lines(f"assign sum = register + {term.to(bits)};", dropped)


def _header(overflow: str, bits: int) -> str:
    low, high = f"-2^{bits - 1}", f"2^{bits - 1} - 1"
    formula = {
        OverflowMode.WRAP: f"sum = the low {bits} bits of register + term",
        OverflowMode.SATURATE: f"sum = min(max(register + term, {low}), {high})",
        OverflowMode.TRAP: f"sum = the low {bits} bits of register + term\n"
        f"  overflows = register + term < {low} or register + term > {high}",
    }[OverflowMode.of(overflow)]
    return f"One addition into a register of {bits} bits, overflow mode {overflow}.\n\n  {formula}"
