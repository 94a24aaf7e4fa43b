"""The multiplier: exact, of signed or unsigned operands, in either of two styles."""

from __future__ import annotations

from ptqsim.rtl.hardware.unit import Multiplier
from ptqsim.rtl.hardware.verilog import Module, Signal, inp, lines, out, wire


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
        row = []
        for i in range(x.bits):
            negative = (x.signed and i == x.bits - 1) != (y.signed and j == y.bits - 1)
            constant -= (1 << (i + j)) if negative else 0
            row.append(f"{'~' if negative else ''}(x[{i}] & y[{j}])")
        rows.append(wire(Signal(f"row_{j}", bits), _row(row, j, bits)))
    total = " + ".join([f"row_{j}" for j in range(y.bits)])
    digits = -(-bits // 4)
    tail = f" + {bits}'h{constant & ((1 << bits) - 1):0{digits}x}" if constant else ""
    return lines("\n".join(rows), f"assign product = {total}{tail};")


def _row(row: list[str], shift: int, bits: int) -> str:
    """The bits of a row side by side, highest first, moved up by `shift` and filled up with zeros."""
    kept = row[: bits - shift]
    above = bits - shift - len(kept)
    parts = ([f"{above}'d0"] if above else []) + kept[::-1] + ([f"{shift}'d0"] if shift else [])
    return "{" + ", ".join(parts) + "}"
