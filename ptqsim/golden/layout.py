"""The layout of golden vectors in files: names, widths, and the conventions in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from ptqsim.common.validation import checked_type
from ptqsim.golden.vectors import GoldenVectors

MANIFEST: Final = "manifest.json"
HEADER: Final = "vectors.h"
ARCHIVE: Final = "vectors.npz"

# Bits of each column of a trace in its hex word, in the order of TRACE_COLUMNS: whole digits, for people to read.
TRACE_BITS: Final = (32, 4, 4, 4, 4, 64, 64, 64, 64)

TRACE_MEANINGS: Final = (
    "index l of the (last) product that this addition brings in",
    "0: the P-bit accumulator, 1: the tile register of a split order",
    "range of the left operand that the register serves, 0 unless deferred",
    "range of the right operand that the register serves, 0 unless deferred",
    "1 if the exact sum before + term does not fit the register",
    "what the register held",
    "what was added: the exact product, or the sum of a tree, or a tile register",
    "what the register holds then; under trap it goes on unbounded",
    "what it would hold had it never been bounded",
)

CONVENTIONS: Final = {
    "arithmetic": "out[..., i, j] accumulates aligned_a[..., i, l] * aligned_b[..., l, j] over l, in units of "
    "a.format.scale * b.format.scale; register = overflow(register + exact product) at every step",
    "codes": "a code is the stored bit pattern, an unsigned integer of word_bits bits. uniform: two's complement. "
    "twin_softmax and twin_gelu: the top bit is the flag, the others the magnitude; flag 0 (R1) is +magnitude in "
    "twin_softmax and -magnitude in twin_gelu, flag 1 (R2) is magnitude << shift. log2: all ones is zero, any other "
    "code c is 1 << (2**bits - 2 - c)",
    "accumulators": "two's complement of word_bits bits. Deferred alignment: word_bits is that of the adder that "
    "combines the registers, which itself never overflows",
    "order": "arrays are flat in C order, the last index fastest: a [..., M, K], b [..., K, N], acc [..., M, N]",
    "hex": "for $readmemh: one word per line, most significant digit first, ceil(word_bits / 4) digits; bits of the "
    "first digit above word_bits are zero; no addresses; // starts a comment; _ separates the fields of a trace word",
    "header": "C99, stdint.h; values in decimal, so no byte order is involved; one include guard and one name prefix",
    "npz": "uncompressed, little-endian, C order, no pickle; codes as uint8 or uint16, acc and trace as int64",
    "trace": "every addition into a register for one output, in the order in which it happens; deferred registers one "
    "after the other. A hex word is the columns side by side, the first one in the top bits; before, term, after and "
    "exact are two's complement of 64 bits",
    "trap": "where a register overflows the event is expected in place of accumulators: the first output in C order "
    "that has one, and its first step",
}


ZERO_POINTS: Final = {
    "zero_points": "a uniform code is the integer c: two's complement if signed, else plain binary; aligned = c - "
    "zero_point. Without zero_point in the accumulator, or if it says operand, aligned values are multiplied. If it "
    "says correction, c_a * c_b are multiplied; before the first product the accumulator takes -z_a * sum of c_b + K * "
    "z_a * z_b, unless z_a is 0, in a step of index -1, and after the last one -z_b * sum of c_a, unless z_b is 0, in "
    "a step of index K; with deferred alignment every register has both for the products of its own pair of ranges",
}
_OF_KINDS: Final = {
    "channels": "a format with an axis has in scale a vector along that axis of the codes: -2 is one for each row i of "
    "a, -1 one for each column j of b. The unit of acc[..., i, j] has the scale of its own row and column; codes, "
    "accumulators and trace do not depend on scales",
    "minifloat": "sign, exponent field e of exponent_bits bits, fraction f of mantissa_bits bits, from the top. The "
    "significand is f if e is 0, else f + 2**mantissa_bits; aligned is significand << (max(e, 1) - 1), with the sign, "
    "in units of scale * 2**(1 - bias - mantissa_bits), which stands here for format.scale",
    "log2_root": "log2 with a root q in its format: all ones is zero, any other code c is F(c mod q) << ((2**bits - 2) "
    "div q - c div q), with the integers F(r) = 2**(fraction_bits - r / q), rounded",
}
"""Conventions of formats that are written only where one of them is meant, so that old files stay as they are."""


def conventions(vectors: GoldenVectors) -> dict[str, str]:
    """Everything that is to be known to read the files; what no format or accumulator of theirs has is left out."""
    meant = set()
    for data in (vectors.a.format.to_dict(), vectors.b.format.to_dict()):
        meant.add("log2_root" if "root" in data else data["kind"])
        if "axis" in data:
            meant.add("channels")
        if "signed" in data or "zero_point" in data:
            meant.add("zero_points")
    if vectors.accumulator.zero_point != "operand":
        meant.add("zero_points")
    return CONVENTIONS | {key: text for key, text in (ZERO_POINTS | _OF_KINDS).items() if key in meant}


class HexColumn(NamedTuple):
    """One quantity as it stands in a hex file and a C array."""

    name: str
    file: str
    bits: int
    c_type: str
    shape: tuple[int, ...]
    signed: bool
    values: list[int]


def words(vectors: GoldenVectors) -> list[HexColumn]:
    """The quantities that are one word each: a, b, and acc if nothing trapped."""
    found = [
        HexColumn(name, f"{name}.hex", array.format.storage_bits, str(array.codes.dtype) + "_t", array.shape, False,
              array.codes.ravel().tolist())
        for name, array in (("a", vectors.a), ("b", vectors.b))
    ]  # fmt: skip
    if vectors.acc is not None:
        bits = vectors.output_bits
        c_type = next(f"int{width}_t" for width in (8, 16, 32, 64) if bits <= width)
        found.append(HexColumn("acc", "acc.hex", bits, c_type, vectors.acc.shape, True, vectors.acc.ravel().tolist()))
    return found


def trace_word(row: Sequence[int]) -> str:
    """The hex word of one step."""
    return "_".join(digits(value, bits) for value, bits in zip(row, TRACE_BITS, strict=True))


def trace_row(word: int) -> list[int]:
    """The columns of a hex word: `trace_word` backwards."""
    row = []
    for bits in reversed(TRACE_BITS):
        field = word & ((1 << bits) - 1)
        row.append(signed(field, bits) if bits >= 32 else field)
        word >>= bits
    return row[::-1]


def digits(value: int, bits: int) -> str:
    """`value` in two's complement of `bits` bits, in as many hex digits as that takes."""
    return f"{value & ((1 << bits) - 1):0{-(-bits // 4)}x}"


def signed(word: int, bits: int) -> int:
    """`word` read as two's complement of `bits` bits."""
    return word - (1 << bits) if word >> (bits - 1) else word


def checked_name(name: str) -> str:
    """`name`, if it can prefix names in C."""
    checked_type("name", name, str)
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise ValueError(
            f"the name {name!r} cannot prefix names in C; legal are letters, digits and _, a letter first: try 'golden'"
        )
    return name


def files(vectors: GoldenVectors) -> list[str]:
    """Names of the files beside the manifest."""
    return [*(quantity.file for quantity in words(vectors)), "trace.hex", HEADER, ARCHIVE]
