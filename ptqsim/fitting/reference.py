"""The nearest codes within limits, by trying all: the definition of the projection, in plain Python integers."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product

from ptqsim.fitting.limits import Limit, RegisterLimits


def sums(codes: Sequence[int]) -> tuple[int, int]:
    """W+ and W-: the sums of the positive and of the negated negative codes."""
    return sum(code for code in codes if code > 0), sum(-code for code in codes if code < 0)


def keeps(codes: Sequence[int], limits: RegisterLimits) -> bool:
    """True if one column keeps the limits of every register."""
    tiles = [] if limits.tile is None else [codes[i : i + limits.tile] for i in range(0, len(codes), limits.tile)]
    return _all(codes, limits.whole) and all(_all(tile, limits.tiles) for tile in tiles)


def _all(codes: Sequence[int], limits: Sequence[Limit]) -> bool:
    return all(limit.holds(*sums(codes)) for limit in limits)


def least_distance(
    target: Sequence[Fraction], low: int, high: int, limits: Sequence[Limit]
) -> tuple[Fraction, list[int]]:
    """The least squared distance of codes from `low` to `high` that keep the limits of one register, and such codes."""
    found = [
        (sum(((t - code) ** 2 for t, code in zip(target, codes, strict=True)), Fraction(0)), list(codes))
        for codes in product(range(low, high + 1), repeat=len(target))
        if _all(codes, limits)
    ]
    return min(found)


def projected(codes: Sequence[int], target: Sequence[Fraction], limits: Sequence[Limit]) -> list[int]:
    """The nearest codes that keep the limits of one register, step by step.

    For every legal pair of sums the weights shrink one step at a time, each time the one whose step costs least (of
    equal ones the first); the pair with the least distance wins, of equal ones that with the larger W+.
    """
    if _all(codes, limits):
        return list(codes)
    most, least = sums(codes)
    best: tuple[Fraction, int, list[int]] | None = None
    for positive, negative in product(range(most + 1), range(least + 1)):
        if not all(limit.holds(positive, negative) for limit in limits):
            continue
        shrunk = list(codes)
        for sign, steps in ((1, most - positive), (-1, least - negative)):
            for _ in range(steps):
                costs = [
                    (_cost(t, c, sign), at)
                    for at, (t, c) in enumerate(zip(target, shrunk, strict=True))
                    if c * sign > 0
                ]
                shrunk[min(costs)[1]] -= sign
        distance = sum(((t - c) ** 2 for t, c in zip(target, shrunk, strict=True)), Fraction(0))
        if best is None or (distance, -positive) < best[:2]:
            best = distance, -positive, shrunk
    assert best is not None  # zeros keep every limit
    return best[2]


def _cost(target: Fraction, code: int, sign: int) -> Fraction:
    return (target - code + sign) ** 2 - (target - code) ** 2
