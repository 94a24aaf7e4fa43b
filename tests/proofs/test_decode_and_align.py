"""Theorem: what a code stands for, and where it may be shifted.

The reference's `operand` runs on a code that is not known, for every format that can be built: all widths and shifts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import z3

import ptqsim as pq
from tests.proofs.symbolic import Integer, outcomes, prove, refute

WIDTHS = range(2, 17)
SHIFTS = range(33)
SOME_SHIFTS = (0, 1, 8, 32)
flag, magnitude = z3.Ints("flag magnitude")


def aligned(number_format: pq.NumberFormat, code: Any, *given: Any) -> Any:
    """The aligned value of a code as one term, and the range that it was found in."""
    term, which = z3.IntVal(0), z3.IntVal(0)
    for condition, operand in outcomes(lambda: pq.reference.operand(Integer(code), number_format), *given):  # type: ignore[arg-type]
        value = operand.aligned
        term = z3.If(condition, value.term if isinstance(value, Integer) else value, term)
        which = z3.If(condition, operand.range, which)
    return term, which


@pytest.mark.parametrize("bits", WIDTHS)
def test_uniform(bits: int) -> None:
    """Two's complement: the code modulo 2**k, in the register's range."""
    code, half = z3.Int("code"), 1 << (bits - 1)
    given = z3.And(code >= 0, code < 2 * half)
    value, which = aligned(pq.Uniform(bits, 1.0), code, given)
    prove(z3.And(-half <= value, value < half, (value - code) % (2 * half) == 0, which == 0), given)
    refute(value == code, given)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("bits", WIDTHS)
def test_uniform_with_a_zero_point(bits: int, signed: bool) -> None:
    """The code modulo 2**k less the zero point, in k + 1 bits; the code of the zero point stands for 0."""
    code, half = z3.Int("code"), 1 << (bits - 1)
    low, high = (-half, half - 1) if signed else (0, 2 * half - 1)
    given = z3.And(code >= 0, code < 2 * half)
    for zero in {low, low + 1, (low + high) // 3, 0, high}:
        value, which = aligned(pq.Uniform(bits, 1.0, signed=signed, zero_point=zero), code, given)
        prove(z3.And(low <= value + zero, value + zero <= high, (value + zero - code) % (2 * half) == 0), given)
        prove(z3.And(-2 * half < value, value < 2 * half, which == 0), given)
        prove(value == 0, given, code == zero % (2 * half))
        refute(value + zero == code + 1, given)


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("kind", ["softmax", "gelu"])
@pytest.mark.parametrize("shifts", [SOME_SHIFTS, pytest.param(SHIFTS, marks=pytest.mark.slow)], ids=["some", "every"])
def test_twin(shifts: Iterable[int], kind: str, bits: int) -> None:
    """code = flag * 2**(k-1) + magnitude stands for +-magnitude in R1 and for magnitude * 2**m in R2."""
    half = 1 << (bits - 1)
    given = z3.And(flag >= 0, flag <= 1, magnitude >= 0, magnitude < half)
    sign = 1 if kind == "softmax" else -1
    for shift in shifts:
        number_format = pq.TwinSoftmax(bits, shift) if kind == "softmax" else pq.TwinGELU(bits, shift, 1.0)
        value, which = aligned(number_format, flag * half + magnitude, given)
        prove(
            z3.And(value == z3.If(flag == 1, magnitude * 2**shift, sign * magnitude), which == flag, value < 2**53),
            given,
        )
    refute(value == z3.If(flag == 1, magnitude * 2 ** (shift + 1), sign * magnitude), given)
    refute(value == z3.If(flag == 1, magnitude * 2**shift, -sign * magnitude), given)


@pytest.mark.parametrize("bits", range(2, 6))
def test_log2(bits: int) -> None:
    """Code c stands for 2**(2**k - 2 - c), and the last code for zero: from one code to the next it halves."""
    last = (1 << bits) - 1
    values = [pq.reference.operand(code, pq.Log2(bits)).aligned for code in range(last + 1)]
    table, code = z3.Array("table", z3.IntSort(), z3.IntSort()), z3.Int("code")
    known = [table[index] == value for index, value in enumerate(values)]
    given = z3.And(code >= 0, code < last)
    prove(z3.If(code + 1 < last, table[code] == 2 * table[code + 1], table[code] == 1), *known, given)
    prove(table[last] == 0, *known)
    refute(table[code] == table[code + 1], *known, given)


@pytest.mark.parametrize("bits", [2, 4, 6])
@pytest.mark.parametrize("root", [2, 4])
def test_log2_of_a_root(root: int, bits: int) -> None:
    """Codes fall, and q codes on a value is half: the fractions lie within an octave."""
    number_format, last = pq.Log2(bits, root=root), (1 << bits) - 1
    values = [pq.reference.operand(code, number_format).aligned for code in range(last + 1)]
    table, code = z3.Array("table", z3.IntSort(), z3.IntSort()), z3.Int("code")
    known = [table[index] == value for index, value in enumerate(values)]
    given = z3.And(code >= 0, code < last)
    prove(table[code] > table[code + 1], *known, given)
    prove(z3.Implies(code + root < last, table[code] == 2 * table[code + root]), *known, given)
    prove(table[last] == 0, *known)
    refute(z3.Implies(code + 1 < last, table[code] == 2 * table[code + 1]), *known, given)


def test_the_three_alignments_accumulate_the_same() -> None:
    """Eq. 5, by induction: whatever was accumulated, one more pair of codes keeps the three sums equal.

    `p` stands for 2**m of any m. The registers of deferred alignment start at zero, as the others do.
    """
    product, first, second, x, w, p = z3.Ints("product first second x w p")
    in_second = z3.Bool("in_second")
    before = product == first + second * p
    shifted_after = product + z3.If(in_second, (x * w) * p, x * w)
    shifted_before = product + z3.If(in_second, x * p, x) * w
    deferred = z3.If(in_second, first, first + x * w) + z3.If(in_second, second + x * w, second) * p
    prove(z3.And(shifted_after == shifted_before, shifted_after == deferred), before, p >= 1)
    swapped = z3.If(in_second, first + x * w, first) + z3.If(in_second, second, second + x * w) * p
    refute(shifted_after == swapped, before, p >= 1)
