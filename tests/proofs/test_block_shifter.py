"""Limits of the block shifter: beyond them a longer shift changes no register, proven by z3 for every total."""

from __future__ import annotations

from typing import Any

import pytest

z3 = pytest.importorskip("z3")

BITS, REGISTER, WORD = 8, 10, 48
FARTHEST = 20
"""Longest shift that is looked at."""


def refuted(claim: Any, given: list[Any]) -> bool:
    solver = z3.Solver()
    solver.add(*given, z3.Not(claim))
    return bool(solver.check() == z3.sat)


def floored(total: Any, places: int) -> Any:
    return total >> places


def half_even(total: Any, places: int) -> Any:
    """The nearest integer of total / 2**places, half to even."""
    floor = total >> places
    rest = total - (floor << places)
    half = z3.BitVecVal(1 << (places - 1), WORD)
    up = z3.Or(rest > half, z3.And(rest == half, z3.Extract(0, 0, floor) == 1))
    return floor + z3.If(up, z3.BitVecVal(1, WORD), z3.BitVecVal(0, WORD))


def totals() -> tuple[Any, list[Any]]:
    total = z3.BitVec("total", WORD)
    return total, [total >= -(1 << (BITS - 1)), total < 1 << (BITS - 1)]


@pytest.mark.parametrize(("rounding", "limit"), [(floored, BITS), (half_even, BITS + 1)])
def test_to_the_right(rounding: Any, limit: int) -> None:
    total, given = totals()
    for places in range(limit, limit + FARTHEST):
        assert not refuted(rounding(total, places) == rounding(total, limit), given), places
    assert refuted(rounding(total, limit) == rounding(total, limit - 2), given)


@pytest.mark.parametrize("mode", ["wrap", "saturate"])
def test_to_the_left(mode: str) -> None:
    total, given = totals()
    register, limit = z3.BitVec("register", WORD), REGISTER + 1
    low, high = -(1 << (REGISTER - 1)), (1 << (REGISTER - 1)) - 1
    given += [register >= low, register <= high]

    def held(places: int) -> Any:
        exact = register + (total << places)
        if mode == "wrap":
            return (exact << (WORD - REGISTER)) >> (WORD - REGISTER)
        return z3.If(exact < low, low, z3.If(exact > high, high, exact))

    for places in range(limit, limit + FARTHEST):
        assert not refuted(held(places) == held(limit), given), places
    assert refuted(held(limit) == held(limit - 4), given)
