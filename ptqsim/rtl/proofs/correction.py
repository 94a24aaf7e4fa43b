"""Claims about zero points: correcting for them is subtracting them, exactly and under wrap, and not saturating.

Let o be the register that takes (A - z_a) * (B - z_b), p the one that takes A * B, and d what the correction of the
products so far adds up to. Every step keeps o = p + d, so that p, with d added in parts, ends as o does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ptqsim.datapath import reference
from ptqsim.formats.base import NumberFormat
from ptqsim.rtl.proofs.claim import Claim
from ptqsim.rtl.proofs.solver import WORD, counterexample


def correction_claims(a: NumberFormat, b: NumberFormat, bits: int) -> list[Claim]:
    """The claims about one pair of formats and a register of `bits` bits."""
    return [
        Claim(
            "correction is operand",
            "for every pair of codes: A * B + (z_a * z_b - z_a * B) - z_b * A == (A - z_a) * (B - z_b)",
            "z3",
            lambda timeout: _each_code(a, b, timeout, _exact),
        ),
        Claim(
            "correction wraps alike",
            f"if o == p + d in {bits} bits before a step then after it: o takes (A - z_a) * (B - z_b), p takes A * B",
            "z3",
            lambda timeout: _each_code(a, b, timeout, lambda *both: _wrapping(bits, *both)),
        ),
        Claim(
            "constant, products, rest",
            f"W(W(W(c) + s) + r) == W(c + s + r), W keeping {bits} bits",
            "z3",
            lambda timeout: _in_parts(bits, timeout),
        ),
        Claim(
            "correction saturates alike",
            f"if o == p + d before a step then after it, in registers of {bits} bits that saturate",
            "z3",
            lambda timeout: _each_code(a, b, timeout, lambda *both: _saturating(bits, *both)),
            holds=False,
        ),
    ]


Query = tuple[Any, list[Any]]
"""A claim, and what it follows from."""


def _each_code(a: NumberFormat, b: NumberFormat, timeout: float, query: Any) -> str | None:
    """One query per code of `a`, with the integer of `b` as an unknown: a constant factor is quick."""
    import z3

    w = z3.BitVec("B", WORD)
    low, high = (end + b.zero_point for end in _ends(b))
    for code, integer in enumerate(_integers(a)):
        claim, given = query(z3.BitVecVal(integer, WORD), w, a.zero_point, b.zero_point)
        found = counterexample(claim, [w >= low, w <= high, *given], timeout)
        if found is not None:
            return f"code {code}: {found}"
    return None


def _exact(x: Any, w: Any, z_a: int, z_b: int) -> Query:
    return x * w + _corrected(x, w, z_a, z_b) == (x - z_a) * (w - z_b), []


def _wrapping(bits: int, x: Any, w: Any, z_a: int, z_b: int) -> Query:
    import z3

    o, p, d = z3.BitVecs("o p d", bits)

    def kept(value: Any) -> Any:
        return z3.Extract(bits - 1, 0, value)

    after = p + kept(x * w) + (d + kept(_corrected(x, w, z_a, z_b)))
    return o + kept((x - z_a) * (w - z_b)) == after, [o == p + d]


def _saturating(bits: int, x: Any, w: Any, z_a: int, z_b: int) -> Query:
    import z3

    p, d = z3.BitVecs("p d", WORD)
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1

    def clamped(value: Any) -> Any:
        return z3.If(value < low, z3.BitVecVal(low, WORD), z3.If(value > high, z3.BitVecVal(high, WORD), value))

    operand = clamped(p + d + (x - z_a) * (w - z_b))
    corrected = clamped(p + x * w) + d + _corrected(x, w, z_a, z_b)
    return operand == corrected, [p >= low, p <= high, d >= low, d <= high, p + d >= low, p + d <= high]


def _corrected(x: Any, w: Any, z_a: int, z_b: int) -> Any:
    """The part that the product of two integers lacks."""
    return z_a * z_b - z_a * w - z_b * x


def _in_parts(bits: int, timeout: float) -> str | None:
    import z3

    c, s, r = z3.BitVecs("c s r", WORD)

    def kept(value: Any) -> Any:
        return (value << (WORD - bits)) >> (WORD - bits)

    return counterexample(kept(kept(kept(c) + s) + r) == kept(c + s + r), [], timeout)


def _integers(number_format: NumberFormat) -> Iterator[int]:
    """Of every code what it is before its zero point is subtracted."""
    for code in range(number_format.code_count):
        yield reference.operand(code, number_format).aligned + number_format.zero_point


def _ends(number_format: NumberFormat) -> tuple[int, int]:
    """Least and greatest aligned value."""
    table = number_format.aligned_table()
    return int(table.min()), int(table.max())
