"""Theorem: wrapping at every step leaves what one reduction at the end leaves.

By induction over the steps. Let W_P keep the low P bits. The claim is register = W_P(sum): it holds for the empty
register (base), and each addition keeps it (step). The step is proven for every sum, every term and every width
from 2 to 63.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import z3

from ptqsim.datapath import register
from tests.proofs.symbolic import Integer, prove, refute, value

WORD = 64
exact, term = z3.BitVecs("exact term", WORD)

# Each width by itself is a matter of seconds; the width as one more unknown, one of minutes.
WIDTHS = range(2, 64)
ANY, WIDER = z3.BitVecs("P Q", WORD)


def wrapped(word: Any, bits: Any) -> Any:
    """As the code reduces a 64-bit word: left, and back with the sign."""
    return (word << (WORD - bits)) >> (WORD - bits)


def base(bits: Any, *given: Any) -> None:
    prove(wrapped(z3.BitVecVal(0, WORD), bits) == 0, *given)


def step(bits: Any, *given: Any) -> None:
    """The word itself may wrap around, with the sum or with the term: the term is any word."""
    prove(wrapped(wrapped(exact, bits) + term, bits) == wrapped(exact + term, bits), *given)
    refute(wrapped(wrapped(exact, bits) + term, bits) == exact + term, *given)
    high = (z3.BitVecVal(1, WORD) << (bits - 1)) - 1
    refute(wrapped(z3.If(exact > high, high, exact) + term, bits) == wrapped(exact + term, bits), *given)


def through_a_tile(bits: Any, inner: Any, *given: Any) -> None:
    """A tile that wrapped at `inner` bits or more than the accumulator's brings the same as its exact sum."""
    through = wrapped(wrapped(exact, bits) + wrapped(term, inner), bits)
    prove(through == wrapped(exact + term, bits), *given)


def through_a_narrow_tile(bits: Any, inner: Any, *given: Any) -> None:
    through = wrapped(wrapped(exact, bits) + wrapped(term, inner), bits)
    refute(through == wrapped(exact + term, bits), *given)


def test_induction_through_a_64_bit_word_at_each_width() -> None:
    for bits in WIDTHS:
        base(z3.BitVecVal(bits, WORD))
        step(z3.BitVecVal(bits, WORD))


def test_induction_through_a_tile_register_at_pairs_of_widths() -> None:
    """Of the same width, of one more and less, of the least and the greatest, and of some between."""
    between = Random(0)
    for bits in WIDTHS:
        for inner in {2, bits - 1, bits, bits + 1, 63, *between.choices(WIDTHS, k=3)} & set(WIDTHS):
            claim = through_a_narrow_tile if inner < bits else through_a_tile
            claim(z3.BitVecVal(bits, WORD), z3.BitVecVal(inner, WORD))


@pytest.mark.slow
def test_induction_at_all_widths_at_once() -> None:
    widths = z3.And(ANY >= 2, ANY <= 63, WIDER >= 2, WIDER <= 63)
    base(ANY, widths)
    step(ANY, widths)
    through_a_tile(ANY, WIDER, widths, WIDER >= ANY)
    through_a_narrow_tile(ANY, WIDER, widths, WIDER == ANY - 1)


def test_step_of_the_reference() -> None:
    """The same in unbounded integers, by the reference's own code."""
    total, added = z3.Ints("total added")
    for bits in WIDTHS:
        stepped = value(lambda: register.wrap(register.wrap(Integer(total), bits) + Integer(added), bits))  # noqa: B023
        at_the_end = value(lambda: register.wrap(Integer(total) + Integer(added), bits))  # noqa: B023
        prove(stepped == at_the_end)
        refute(stepped == value(lambda: register.wrap(Integer(total), bits) + Integer(added)))  # noqa: B023
