"""Memories of a block: plain arrays, written at the clock edge and read without it; constant ones from a file."""

from __future__ import annotations

from collections.abc import Iterable

from ptqsim.golden.layout import digits
from ptqsim.rtl.hardware.verilog import Module, inp, lines, out


def address_bits(words: int) -> int:
    """Bits of an address below `words`."""
    return max(1, (words - 1).bit_length())


def data_memory(name: str, words: int, bits: int) -> Module:
    """A memory of `words` words with a port for writing and two for reading."""
    place = address_bits(words)
    body = lines(
        f"""
        logic [{bits - 1}:0] memory [0:{words - 1}];
        assign a_word = memory[a_address];
        assign b_word = memory[b_address];
        """,
        """
        always_ff @(posedge clk) begin
            if (write) memory[address] <= word;
        end
        """,
    )
    header = f"""
        Memory of {words} words of {bits} bits.

          a_word = memory[a_address], b_word = memory[b_address]
    """
    ports = (
        inp("clk"),
        inp("write", 0, "put a word at this edge"),
        inp("address", place, "where it goes"),
        inp("word", bits),
        inp("a_address", place),
        out("a_word", bits),
        inp("b_address", place),
        out("b_word", bits),
    )
    return Module(name, header, ports, body)


def constant_memory(name: str, values: Iterable[int], bits: int, what: str) -> Module:
    """A memory that is filled from a file of the module's name before the first cycle."""
    words = [digits(value, bits) for value in values]
    body = lines(f"""
        logic [{bits - 1}:0] memory [0:{len(words) - 1}];
        initial $readmemh("{name}.hex", memory);
        assign word = memory[address];
    """)
    header = f"""
        Constant memory of {len(words)} words of {bits} bits: {what}.

          word = memory[address], as {name}.hex has it
    """
    ports = (inp("address", address_bits(len(words))), out("word", bits))
    return Module(name, header, ports, body, data=((f"{name}.hex", "\n".join([*words, ""])),))
