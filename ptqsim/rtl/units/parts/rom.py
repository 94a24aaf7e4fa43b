"""A table as a case statement."""

from __future__ import annotations

from collections.abc import Sequence

from ptqsim.rtl.hardware.requantization.parts import number
from ptqsim.rtl.hardware.verilog import Module, inp, out


def table(name: str, entries: Sequence[int], bits: int, what: str, signed: bool = False) -> Module:
    """The combinational module ``value = entries[index]``, of entries of `bits` bits in two's complement or none."""
    index_bits = max(1, (len(entries) - 1).bit_length())
    mask = (1 << bits) - 1
    cases = [f"        {index_bits}'d{i}: value = {number(entry & mask, bits)};" for i, entry in enumerate(entries)]
    body = "\n".join(
        ["always_comb begin", "    case (index)", *cases, f"        default: value = {number(0, bits)};", "    endcase",
         "end"]
    )  # fmt: skip
    header = f"""
        Table of {len(entries)} entries of {bits} bits: {what}.

          value = table[index], and 0 beyond the last entry
    """
    return Module(name, header, (inp("index", index_bits), out("value", bits, signed=signed)), body)
