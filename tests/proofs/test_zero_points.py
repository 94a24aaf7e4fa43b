"""Theorem: a correction gives what subtracted operands give, in unbounded integers and under wrap.

By induction over the depth the sums obey sum(a b) = constant + sum(A B) + rest, with a = A - z_a and b = B - z_b. Under
wrap each of the additions keeps the register congruent to the exact sum (`test_wrapping`), whatever is added and in
whatever order, the constant and the rest among them. So both datapaths end at that sum, wrapped once.
"""

from __future__ import annotations

from typing import Any

import pytest
import z3

import ptqsim as pq
from ptqsim.datapath.codes.operand import Operand
from tests.proofs.symbolic import Integer, prove, refute, value

depth, sum_a, sum_b, products, aligned, a, b, z_a, z_b = z3.Ints("K sum_a sum_b products aligned A B z_a z_b")


def corrected(sum_of_products: Any, of_a: Any, of_b: Any, count: Any) -> Any:
    """The constant, the products and the rest."""
    return (-z_a * of_b + count * z_a * z_b) + sum_of_products + -z_b * of_a


def test_the_identity_by_induction() -> None:
    """It holds of no products, and one more pair of integers keeps it."""
    prove(corrected(0, 0, 0, 0) == 0)
    before = aligned == corrected(products, sum_a, sum_b, depth)
    after = aligned + (a - z_a) * (b - z_b) == corrected(products + a * b, sum_a + a, sum_b + b, depth + 1)
    prove(after, before)
    wrong = aligned + (a - z_a) * (b - z_b) == corrected(products + a * b, sum_a + a, sum_b + b, depth)
    refute(wrong, before)


def both(row: list[Operand], column: list[Operand], bits: int, overflow: str, order: str, given: Any) -> list[Any]:
    """The reference's outputs with zero points subtracted from operands, and with the sum corrected."""

    def outcome(place: str) -> Any:
        unit = pq.Accumulator(bits, overflow, order, zero_point=place)
        return value(lambda: pq.reference.trace(row, column, unit)[0], given)

    return [outcome("operand"), outcome("correction")]


@pytest.mark.parametrize("zeros", [(0, 0), (3, 0), (0, -2), (7, -8), (5, 6)], ids=str)
def test_the_reference_itself(zeros: tuple[int, int]) -> None:
    """Its own code on two pairs of integers that are not known: equal in a wide register, and in one that wraps.

    The factors on the right are known, so that z3 has linear terms.
    """
    x = z3.Ints("x_0 x_1")
    row = [Operand(Integer(term - zeros[0]), 0, 0, zeros[0]) for term in x]  # type: ignore[arg-type]
    column = [Operand(w - zeros[1], 0, 0, zeros[1]) for w in (-3, 6)]
    small = z3.And(*(z3.And(term >= -64, term < 64) for term in x))
    for bits, order in ((20, "sequential"), (5, "sequential"), (5, "tree:2"), (5, "split:2:6"), (5, "split:1:5")):
        operand, correction = both(row, column, bits, "wrap", order, small)
        prove(operand == correction, small)


def test_saturation_and_narrow_tiles_are_no_such_thing() -> None:
    x = z3.Int("x")
    row = [Operand(Integer(x - 7), 0, 0, 7), Operand(Integer(x - 7), 0, 0, 7)]  # type: ignore[arg-type]
    column = [Operand(w, 0, 0, 0) for w in (-3, 6)]
    small = z3.And(x >= 0, x < 16)
    for overflow, order in (("saturate", "sequential"), ("wrap", "split:2:4")):
        operand, correction = both(row, column, 5, overflow, order, small)
        refute(operand == correction, small)
