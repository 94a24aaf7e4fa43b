"""The multiplier: exact, of signed or unsigned operands, in either of two styles."""

from __future__ import annotations

from ptqsim.rtl.hardware.unit import Multiplier
from ptqsim.rtl.hardware.verilog import Module, Signal, inp, lines, out, wire

_PER_LINE = 8  # terms of a sum


def multiplier(name: str, style: str, x: Signal, y: Signal, bits: int) -> Module:
    """``product = x * y``, of which `bits` bits are enough to hold every value."""
    kinds = [f"{operand.bits}-bit {'signed' if operand.signed else 'unsigned'}" for operand in (x, y)]
    header = f"Multiplier, {kinds[0]} times {kinds[1]}.\n\n  product = x * y, exact in {bits} bits"
    x, y = x.named("x"), y.named("y")
    ports = (
        inp("x", x.bits, signed=x.signed),
        inp("y", y.bits, signed=y.signed),
        out("product", bits, signed=True),
    )
    if style == Multiplier.BEHAVIORAL:
        return Module(name, header, ports, _behavioral(x, y, bits))
    note = """
  Baugh and Wooley: product bits with a negative weight are inverted, as -p * 2^n = (1 - p) * 2^n - 2^n, and all the
  -2^n together are one constant. What remains are positive rows to add."""
    return Module(name, header + "\n" + note, ports, _baugh_wooley(x, y, bits))


def _behavioral(x: Signal, y: Signal, bits: int) -> str:
    # Both factors get the width of the product first: what they are multiplied in is then no matter of context.
    wide = [Signal(f"wide_{operand.name}", bits, signed=True) for operand in (x, y)]
    declared = [wire(signal, _extended(operand, bits)) for signal, operand in zip(wide, (x, y), strict=True)]
    return lines("\n".join(declared), "assign product = wide_x * wide_y;")


def _extended(operand: Signal, bits: int) -> str:
    # A zero-extended operand is a signed one whose sign is zero; the cast of an unsigned signal extends with zeros.
    return operand.to(bits)


def _baugh_wooley(x: Signal, y: Signal, bits: int) -> str:
    rows, constant = [], 0
    for j in range(y.bits):
        y_is_sign = y.signed and j == y.bits - 1
        negative = [y_is_sign] * (x.bits - x.signed) + [not y_is_sign] * x.signed
        constant -= sum(1 << (i + j) for i in range(x.bits) if negative[i])
        rows.append(wire(Signal(f"row_{j}", bits), _row(x, j, negative, bits)))
    terms = [f"row_{j}" for j in range(y.bits)]
    if constant:
        terms.append(f"{bits}'h{constant & ((1 << bits) - 1):0{-(-bits // 4)}x}")
    total = "\n    + ".join(" + ".join(terms[i : i + _PER_LINE]) for i in range(0, len(terms), _PER_LINE))
    return lines("\n".join(rows), f"assign product = {total};")


def _row(x: Signal, j: int, negative: list[bool], bits: int) -> str:
    """x times bit j of y, moved up by j and filled up with zeros; where a weight is negative, inverted."""
    kept = min(x.bits, bits - j)
    plain = min(kept, x.bits - x.signed)
    parts = [f"{bits - j - kept}'d0"] if bits - j > kept else []
    if kept > plain:
        parts.append(f"{'~' if negative[-1] else ''}(x[{x.bits - 1}] & y[{j}])")
    if plain:
        parts.append(f"{'~' if negative[0] else ''}(x[{plain - 1}:0] & {{{plain}{{y[{j}]}}}})")
    return "{" + ", ".join([*parts, f"{j}'d0"] if j else parts) + "}"
