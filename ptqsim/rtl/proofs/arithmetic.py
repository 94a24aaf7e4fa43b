"""Claims about the arithmetic, decided by z3: formats, the step, wrapping, the deferred registers and the bounds."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from ptqsim.datapath import bounds, reference
from ptqsim.datapath.bounds import corrects
from ptqsim.datapath.spec import Accumulator
from ptqsim.formats.base import NumberFormat
from ptqsim.formats.twin import MAX_SHIFT
from ptqsim.rtl.hardware.operands import twin
from ptqsim.rtl.proofs.claim import Claim
from ptqsim.rtl.proofs.correction import correction_claims
from ptqsim.rtl.proofs.solver import WORD, counterexample


def arithmetic_claims(a: NumberFormat, b: NumberFormat, accumulator: Accumulator, depth: int) -> list[Claim]:
    """The claims about one datapath."""
    bits = accumulator.bits
    width = bounds.required_bits(a, b, depth)
    claims = [
        Claim(
            "product is operand",
            f"for every code of {a.kind}, every {b.bits}-bit operand and every shift to {MAX_SHIFT}: "
            "(mantissa * w) << m == (mantissa << m) * w",
            "z3",
            lambda timeout: _alignments(a, b, timeout),
        ),
        Claim(
            "guard bit of saturation",
            f"clamping by the top bits of the exact sum is clamping, register of {bits} bits",
            "z3",
            lambda timeout: _saturation(bits, guard=1, timeout=timeout),
        ),
        Claim(
            "saturation without it",
            "the same with a sum that has no guard bit",
            "z3",
            lambda timeout: _saturation(bits, guard=0, timeout=timeout),
            holds=False,
        ),
        Claim(
            "wrapping at the end",
            f"W(W(s) + p) == W(s + p), W keeping {bits} bits: wrapping once is wrapping at every step",
            "z3",
            lambda timeout: _wrapping(bits, timeout),
        ),
        Claim(
            "width of the bound",
            f"{width} bits hold every prefix of up to {depth} products (induction over the steps)",
            "z3",
            lambda timeout: _bounded(a, b, depth, width, timeout),
        ),
        Claim(
            "one bit less",
            f"{width - 1} bits hold every prefix of up to {depth} products",
            "z3",
            lambda timeout: _bounded(a, b, depth, width - 1, timeout),
            holds=False,
        ),
    ]
    if a.shift and a.shift < bits:
        claims.append(
            Claim(
                "deferred registers",
                f"r1 + (r2 << {a.shift}) stays the wrapped sum while r2 has {bits - a.shift} bits only",
                "z3",
                lambda timeout: _deferred(bits, a.shift, bits - a.shift, timeout),
            )
        )
        claims.append(
            Claim(
                "one bit less for r2",
                f"the same with {bits - a.shift - 1} bits in r2",
                "z3",
                lambda timeout: _deferred(bits, a.shift, bits - a.shift - 1, timeout),
                holds=False,
            )
        )
    return [*claims, *correction_claims(a, b, bits)] if corrects(accumulator.zero_point, a, b) else claims


def overflowing_codes(a: NumberFormat, b: NumberFormat, depth: int, bits: int) -> tuple[int, int, int] | None:
    """A code of each operand, and after how many additions their product leaves the register.

    None if `depth` steps of no product do.
    """
    for low in (True, False):
        pairs = product(numbers(a), numbers(b))
        terms = {pair: reference.operand(pair[0], a).aligned * reference.operand(pair[1], b).aligned for pair in pairs}
        (x, w), term = (min if low else max)(terms.items(), key=lambda item: item[1])
        limit = (1 << (bits - 1)) if low else (1 << (bits - 1)) - 1
        if term and depth * abs(term) > limit:
            return x, w, limit // abs(term) + 1
    return None


def numbers(number_format: NumberFormat) -> list[int]:
    """Codes that stand for a number."""
    codes = np.arange(number_format.code_count)
    found: list[int] = codes[number_format.is_number(codes)].tolist()
    return found


def _alignments(a: NumberFormat, b: NumberFormat, timeout: float) -> str | None:
    """One query per code, with the shift as one more unknown: quicker than one query per shift."""
    import z3

    w, m = z3.BitVecs("w m", WORD)
    half = 1 << (b.bits - 1)
    low, high = (-half, half - 1) if twin(b) else (b.aligned_min, b.aligned_max)
    given = [w >= low, w <= high, m >= 0, m <= MAX_SHIFT]
    for code in numbers(a):
        operand = reference.operand(code, a)
        mantissa = z3.BitVecVal(operand.mantissa, WORD)
        shift = m if operand.range else z3.BitVecVal(0, WORD)
        found = counterexample((mantissa * w) << shift == (mantissa << shift) * w, given, timeout)
        if found is not None:
            return f"code {code}: {found}"
    return None


def _saturation(bits: int, guard: int, timeout: float) -> str | None:
    """The text of the hardware, with a term as wide as the register, beside minimum and maximum."""
    import z3

    register, term = z3.BitVecs("register term", bits)
    wide = [z3.SignExt(guard, value) for value in (register, term)] if guard else [register, term]
    exact = wide[0] + wide[1]
    top = z3.Extract(bits + guard - 1, bits - 1, exact)
    fits = z3.Or(top == 0, top == -1)
    sign = z3.Extract(bits + guard - 1, bits + guard - 1, exact)
    limit = z3.Concat(sign, *([~sign] * (bits - 1)))
    summed = z3.If(fits, z3.Extract(bits - 1, 0, exact), limit)
    whole = z3.SignExt(2, register) + z3.SignExt(2, term)
    low, high = z3.BitVecVal(-(1 << (bits - 1)), bits + 2), z3.BitVecVal((1 << (bits - 1)) - 1, bits + 2)
    clamped = z3.If(whole < low, low, z3.If(whole > high, high, whole))
    return counterexample(z3.SignExt(2, summed) == clamped, [], timeout)


def _wrapping(bits: int, timeout: float) -> str | None:
    import z3

    total, term = z3.BitVecs("s p", WORD)

    def kept(value: Any) -> Any:
        return (value << (WORD - bits)) >> (WORD - bits)

    return counterexample(kept(kept(total) + term) == kept(total + term), [], timeout)


def _deferred(bits: int, shift: int, second: int, timeout: float) -> str | None:
    """Inductive step: whichever range the product is of, the combination of the registers is the wrapped sum again."""
    import z3

    r1, r2, term = z3.BitVecs("r1 r2 p", bits)
    in_second = z3.Bool("flag")
    mask = z3.BitVecVal((1 << max(second, 0)) - 1, bits)
    combined = r1 + (r2 << shift)
    next_r1 = z3.If(in_second, r1, r1 + term)
    next_r2 = z3.If(in_second, (r2 + term) & mask, r2)
    wanted = combined + z3.If(in_second, term << shift, term)
    return counterexample(next_r1 + (next_r2 << shift) == wanted, [r2 & ~mask == 0], timeout)


def _bounded(a: NumberFormat, b: NumberFormat, depth: int, bits: int, timeout: float) -> str | None:
    """After l steps the sum lies in [l * p_min, l * p_max]; each step keeps that, and to the depth it fits."""
    import z3

    values = [[reference.operand(code, fmt).aligned for code in numbers(fmt)] for fmt in (a, b)]
    terms = [x * w for x in (min(values[0]), max(values[0])) for w in (min(values[1]), max(values[1]))]
    low, high = min(0, *terms), max(0, *terms)
    total, term, step = z3.Ints("sum p l")

    def invariant(value: Any, steps: Any) -> Any:
        return z3.And(steps * low <= value, value <= steps * high)

    limits = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    claim = z3.And(invariant(total + term, step + 1), limits[0] <= total + term, total + term <= limits[1])
    given = [step >= 0, step < depth, invariant(total, step), term >= low, term <= high]
    found = counterexample(claim, given, timeout)
    if found is None:
        return None
    codes = overflowing_codes(a, b, depth, bits)
    return found if codes is None else f"codes {codes[0]} and {codes[1]}, {codes[2]} times"
