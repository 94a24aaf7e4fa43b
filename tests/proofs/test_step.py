"""Theorem: one addition into a register is what two's complement, and clamping, say; in Python and in machine words."""

from __future__ import annotations

from typing import Any

import pytest
import z3

from ptqsim.datapath import register
from ptqsim.datapath.register import Step
from tests.proofs.symbolic import Integer, prove, refute, signed_range, value

WIDTHS = range(2, 64)
held, term, other = z3.Ints("held term other")
total = held + term


def is_wrapped(result: Any, of: Any, bits: int) -> Any:
    low, high = signed_range(bits)
    return z3.And(low <= result, result <= high, (result - of) % 2**bits == 0)


def is_nearest(result: Any, of: Any, bits: int) -> Any:
    """No value of the register, here `other`, is nearer."""
    low, high = signed_range(bits)
    distance, others = z3.Abs(result - of), z3.Abs(other - of)
    return z3.And(low <= result, result <= high, z3.Implies(z3.And(low <= other, other <= high), distance <= others))


def is_held(result: Any, of: Any, bits: int) -> Any:
    return result == of


@pytest.mark.parametrize(("overflow", "specified"), [("wrap", is_wrapped), ("saturate", is_nearest), ("trap", is_held)])
def test_the_step_of_the_reference(overflow: str, specified: Any) -> None:
    for bits in WIDTHS:
        result = value(lambda: register.add(Integer(held), Integer(term), bits, overflow))  # noqa: B023
        prove(specified(result, total, bits))
        if overflow != "trap":  # control: the term clamped before it is added, as some simulators do
            clamped = value(lambda: register.add(Integer(held), register.saturate(Integer(term), 2), bits, overflow))  # noqa: B023
            refute(specified(clamped, total, bits))


def test_events_are_the_sums_that_do_not_fit() -> None:
    for bits in WIDTHS:
        low, high = signed_range(bits)
        fits = value(lambda: register.fits(Integer(held), bits))  # noqa: B023
        prove(fits == z3.And(low <= held, held <= high))
        refute(fits == z3.And(low < held, held <= high))
        step = Step(0, "accumulator", bits, (0, 0), Integer(held), Integer(term), 0, 0)  # type: ignore[arg-type]
        prove(value(lambda: step.event) == z3.Or(total < low, total > high))  # noqa: B023


# --- machine words: what a kernel does in int32 and int64 -----------------------------------------------------------


def longer(word: Any) -> Any:
    """With two more bits, so that a sum is exact."""
    return z3.SignExt(2, word)


def wrapping(size: int, bits: Any, *given: Any) -> None:
    """Shifting left and back is wrapping, even if the sum leaves the machine word; and so are its events counted."""
    r, p = z3.BitVecs("r p", size)
    one, drop = z3.BitVecVal(1, size), size - bits
    wrapped = ((r + p) << drop) >> drop
    low, high = -(one << (bits - 1)), (one << (bits - 1)) - 1
    exact = longer(r) + longer(p)
    congruent = (longer(wrapped) - exact) << (longer(drop) + 2) == 0
    prove(z3.And(low <= wrapped, wrapped <= high, congruent), *given)
    unsigned = z3.LShR((r + p) << drop, drop)
    refute(z3.And(low <= unsigned, unsigned <= high), *given)
    event = z3.Or(exact < longer(low), exact > longer(high))
    prove((wrapped != r + p) == event, low <= r, r <= high, *given)
    refute((wrapped != r + p) == event, *given)  # control: a register that was not wrapped before


def saturating(size: int, bits: Any, *given: Any) -> None:
    """Clamping the sum is saturating if the greatest register and term fit the machine word together."""
    r, p = z3.BitVecs("r p", size)
    one = z3.BitVecVal(1, size)
    low, high = -(one << (bits - 1)), (one << (bits - 1)) - 1
    holds = z3.And(low <= r, r <= high)
    magnitude = z3.If(p < 0, -longer(p), longer(p))
    fits = longer(one << (bits - 1)) + magnitude <= 2 ** (size - 1) - 1
    summed = r + p
    larger = z3.If(summed > low, summed, low)
    clamped = z3.If(larger < high, larger, high)
    exact = longer(r) + longer(p)
    expected = z3.If(exact < longer(low), longer(low), z3.If(exact > longer(high), longer(high), exact))
    right = z3.And(longer(clamped) == expected, (clamped != summed) == (exact != expected))
    prove(right, holds, fits, *given)
    refute(right, holds, *given)


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("theorem", [wrapping, saturating])
def test_a_machine_word_at_each_width(theorem: Any, size: int) -> None:
    for bits in range(2, size):
        theorem(size, z3.BitVecVal(bits, size))


@pytest.mark.slow
@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("theorem", [wrapping, saturating])
def test_a_machine_word_at_all_widths_at_once(theorem: Any, size: int) -> None:
    bits = z3.BitVec("P", size)
    theorem(size, bits, z3.And(bits >= 2, bits <= size - 1))
