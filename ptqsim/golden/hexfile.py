"""Files for $readmemh."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ptqsim.golden.layout import TRACE_BITS, HexColumn, digits, trace_row, trace_word
from ptqsim.golden.text import Located, UnreadableError
from ptqsim.golden.vectors import TRACE_COLUMNS, GoldenVectors


def render(quantity: HexColumn) -> str:
    """The file of one quantity."""
    kind = "two's complement" if quantity.signed else "codes"
    head = f"// {quantity.name} {list(quantity.shape)} in C order, {quantity.bits}-bit words, {kind}"
    return "\n".join([head, *(digits(value, quantity.bits) for value in quantity.values), ""])


def render_trace(vectors: GoldenVectors) -> str:
    """The file of the trace, one packed word per step."""
    fields = ", ".join(f"{name}[{bits}]" for name, bits in zip(TRACE_COLUMNS, TRACE_BITS, strict=True))
    head = f"// trace of output {list(vectors.traced)}, {sum(TRACE_BITS)}-bit words: {fields}"
    return "\n".join([head, *(trace_word(row) for row in vectors.trace.tolist()), ""])


def read(text: str, bits: int) -> list[Located]:
    """Columns as $readmemh reads them, with their lines.

    Raises
    ------
    UnreadableError
        At what is no hexadecimal word, or does not fit `bits` bits.
    """
    found = []
    for line, word in _tokens(text):
        if not re.fullmatch(r"[0-9a-fA-F][0-9a-fA-F_]*", word):
            raise UnreadableError(line, f"{word!r} is no hexadecimal word")
        value = int(word.replace("_", ""), 16)
        if value >> bits:
            raise UnreadableError(line, f"{word} does not fit {bits} bits")
        found.append(Located(line, value))
    return found


def read_trace(text: str) -> list[Located]:
    """The columns of every step, one after the other, with their lines.

    Raises
    ------
    UnreadableError
        As for `read`.
    """
    return [Located(line, v) for line, word in read(text, sum(TRACE_BITS)) for v in trace_row(word)]


def _tokens(text: str) -> Iterable[tuple[int, str]]:
    for line, content in enumerate(text.split("\n"), 1):
        for word in content.partition("//")[0].split():
            yield line, word
