"""Theorems about what sums of products can be: the datatype bound, the row-stochastic bound, and the certificates."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from typing import Any

import pytest
import z3

import ptqsim as pq
from ptqsim import bounds
from ptqsim.datapath.spec import bits_for
from tests.proofs.symbolic import prove, refute

# --- datatype ---------------------------------------------------------------------------------------------------------


def corners(a: tuple[Any, Any], b: tuple[Any, Any]) -> list[Any]:
    return [x * w for x in a for w in b]


def test_a_product_lies_between_the_corners_of_its_factors() -> None:
    x, w, a_low, a_high, b_low, b_high, low, high = z3.Reals("x w a_low a_high b_low b_high low high")
    within = z3.And(a_low <= x, x <= a_high, b_low <= w, w <= b_high)
    four = corners((a_low, a_high), (b_low, b_high))
    between = z3.And(*(z3.And(low <= corner, corner <= high) for corner in four))
    prove(z3.And(low <= x * w, x * w <= high), within, between)
    refute(z3.And(low <= x * w, x * w <= high), within, z3.And(low <= four[0], four[3] <= high))


def test_the_sum_over_any_subset_lies_in_the_datatype_bound() -> None:
    """Induction over the depth: one more product, taken or left out, moves both ends as the formula says."""
    total, product, low, high, depth = z3.Reals("total product low high depth")
    taken = z3.Bool("taken")
    before = z3.And(depth * low <= total, total <= depth * high, low <= product, product <= high)
    after = total + z3.If(taken, product, 0)
    claim = z3.And((depth + 1) * low <= after, after <= (depth + 1) * high)
    prove(claim, before, low <= 0, high >= 0)
    refute(claim, before)  # zero has to be in the range if a product may be left out


FORMATS = [
    pq.Uniform(8, 1.0), pq.Uniform(2, 1.0), pq.TwinSoftmax(8, 8), pq.TwinSoftmax(4, 0), pq.TwinGELU(8, 8, 1.0),
    pq.TwinGELU(3, 24, 1.0), pq.Log2(4),
]  # fmt: skip


@pytest.mark.parametrize("a_format", FORMATS, ids=str)
@pytest.mark.parametrize("b_format", FORMATS, ids=str)
def test_the_numbers_of_the_datatype_bound(a_format: pq.NumberFormat, b_format: pq.NumberFormat) -> None:
    """No pair of factors leaves the numbers that the code computes, some pair reaches them, and the width fits them."""
    x, w = z3.Ints("x w")
    within = z3.And(
        a_format.aligned_min <= x, x <= a_format.aligned_max, b_format.aligned_min <= w, w <= b_format.aligned_max
    )
    one = bounds.datatype(a_format, b_format, 1)
    prove(z3.And(one.lowest <= x * w, x * w <= one.highest), within)
    tighter = z3.And(one.lowest < x * w, x * w < one.highest) if one.lowest else x * w < one.highest
    refute(tighter, within)
    for depth in (0, 1, 2, 384, 1536, 2**31 - 1):
        bound = bounds.datatype(a_format, b_format, depth)
        assert (bound.lowest, bound.highest) == (depth * one.lowest, depth * one.highest)
        half = 1 << (bound.bits - 1)
        assert -half <= bound.lowest <= bound.highest < half
        assert bound.bits == 2 or not -half // 2 <= bound.lowest <= bound.highest < half // 2


def test_a_width_is_the_least_that_holds_both_ends() -> None:
    assert bits_for(0, 0) == bits_for(-1, 0) == 2  # the narrowest register that there is
    for bits in range(2, 20):
        half = 1 << (bits - 1)
        assert bits_for(-half, half - 1) == bits_for(0, half - 1) == bits_for(-half, 0) == bits
        assert bits_for(-half - 1, 0) == bits_for(0, half) == bits + 1


# --- row-stochastic ---------------------------------------------------------------------------------------------------


def encoded(x: Any, number_format: pq.NumberFormat) -> Any:
    """The aligned value of a real x >= 0 by Eq. 2 and Eq. 4, x in steps of the finest grid; a tie goes either way."""
    bits, top = number_format.bits, (1 << (number_format.bits - 1)) - 1
    value = z3.Int("value")
    magnitude = z3.Int("magnitude")

    def rounds(real: Any) -> Any:
        if number_format.rounding == "toward_zero":  # type: ignore[attr-defined]
            whole = z3.And(magnitude <= real, real < magnitude + 1)
        else:
            whole = z3.And(2 * magnitude - 1 <= 2 * real, 2 * real <= 2 * magnitude + 1)
        return z3.Or(whole, z3.And(magnitude == top, real >= top))

    legal = z3.And(magnitude >= 0, magnitude <= top)
    if isinstance(number_format, pq.Uniform):
        return value, z3.And(legal, value == magnitude, rounds(x))
    step = 1 << number_format.shift
    first = z3.And(value == magnitude, rounds(x))
    second = z3.And(value == magnitude * step, rounds(x / step))
    return value, z3.And(legal, z3.If(x < (1 << (bits - 1)), first, second))


def lines(number_format: pq.NumberFormat) -> list[tuple[Fraction, Fraction]]:
    """Slopes and intercepts of candidates for a line above the encoder: through any two of its corners. Witnesses."""
    top, points = (1 << (number_format.bits - 1)) - 1, {(Fraction(0), 0)}
    early = 0 if number_format.rounding == "toward_zero" else Fraction(1, 2)  # type: ignore[attr-defined]
    points |= {(v - early, v) for v in range(1, top + 1)}
    if isinstance(number_format, pq.TwinSoftmax):
        step = 1 << number_format.shift
        points |= {(max((v - early) * step, Fraction(top + 1)), v * step) for v in range(1, top + 1)}
    found = {(Fraction(0), Fraction(max(v for _, v in points)))}
    for (x0, v0), (x1, v1) in combinations(sorted(points), 2):
        if x1 > x0 and v1 > v0:
            slope = Fraction(v1 - v0) / (x1 - x0)
            intercept = v0 - slope * x0
            if all(v <= intercept + slope * x for x, v in points):
                found.add((slope, intercept))
    return sorted(found)


ROWS = [
    *(pq.TwinSoftmax(bits, shift) for bits in (3, 4, 5) for shift in (0, 1, 4, 11)),
    pq.TwinSoftmax(4, 3, "toward_zero"), pq.TwinSoftmax(6, 3),
    pq.Uniform(4, 1 / 16), pq.Uniform(6, 0.0171, "half_away"), pq.Uniform(4, 1 / 8, "toward_zero"),
]  # fmt: skip


def test_a_line_above_the_encoder_bounds_every_sum() -> None:
    """Induction over the row: if f(x) <= c + s x, the sum over l values is at most l c + s times the sum of the x."""
    total, mass, x, value, line_c, line_s, depth = z3.Reals("total mass x value c s depth")
    claim = total + value <= (depth + 1) * line_c + line_s * (mass + x)
    prove(claim, total <= depth * line_c + line_s * mass, value <= line_c + line_s * x)
    refute(claim, total <= depth * line_c + line_s * mass, value <= line_c + line_s * x + 1)


@pytest.mark.parametrize("a_format", ROWS, ids=str)
def test_the_numbers_of_the_row_stochastic_bound(a_format: pq.NumberFormat) -> None:
    """For each depth a line above the encoder, z3's own encoder, gives the number that the code computes, or less."""
    x = z3.Real("x")
    value, encoding = encoded(x, a_format)
    candidates = lines(a_format)
    proven: set[tuple[Fraction, Fraction]] = set()
    for depth in (1, 3, 16, 197, 1000):
        claimed = bounds.row_stochastic(a_format, pq.Uniform(2, 1.0), depth, row_sum=1.0).highest  # the largest w is 1
        budget = (1 + Fraction(1, 1 << 23)) / Fraction(a_format.scale)
        slope, intercept = min(candidates, key=lambda line: depth * line[1] + line[0] * budget)
        assert depth * intercept + slope * budget < claimed + 1, "a line proves less than the code claims"
        if (slope, intercept) not in proven:
            proven.add((slope, intercept))
            above = value <= z3.RealVal(intercept) + z3.RealVal(slope) * x
            prove(above, x >= 0, encoding)
            lower = value <= z3.RealVal(intercept) + z3.RealVal(slope) * x - z3.RealVal(Fraction(1, 2))
            refute(lower, x >= 0, encoding)


# --- what the fast paths rest on --------------------------------------------------------------------------------------


def test_sums_over_subsets_lie_between_the_sums_of_each_sign() -> None:
    """Fact 3: with S the sum of magnitudes and T the sum, every subset sum is at most (S + |T|) / 2 in magnitude."""
    subset, positive, negative, product = z3.Reals("subset positive negative product")
    taken = z3.Bool("taken")
    before = z3.And(-negative <= subset, subset <= positive, positive >= 0, negative >= 0)
    after = subset + z3.If(taken, product, 0)
    more_positive, more_negative = positive + z3.If(product > 0, product, 0), negative + z3.If(product < 0, -product, 0)
    prove(z3.And(-more_negative <= after, after <= more_positive), before)
    refute(z3.And(-more_negative <= after, after <= positive), before)
    magnitudes, total = positive + negative, positive - negative
    half = (magnitudes + z3.If(total < 0, -total, total)) / 2
    magnitude = z3.If(subset < 0, -subset, subset)
    prove(magnitude <= half, before)
    refute(magnitude <= half - 1, before)


def test_norms_bound_every_sum() -> None:
    """sum |a||w| <= max|a| sum|w|, by induction; and Cauchy and Schwarz by a square that is not negative."""
    total, weights, x, w, peak = z3.Reals("total weights x w peak")
    within = z3.And(total <= peak * weights, x >= 0, w >= 0, x <= peak)
    prove(total + x * w <= peak * (weights + w), within)
    refute(total + x * w <= peak * weights, within)
    # sum (|a| t - |w|)**2 = A t**2 - 2 D t + B is a sum of squares; at t = D / A it says that D**2 <= A B.
    a_energy, b_energy, dot, t = z3.Reals("A B D t")
    square = a_energy * t * t - 2 * dot * t + b_energy
    more = (a_energy + x * x) * t * t - 2 * (dot + x * w) * t + (b_energy + w * w)
    prove(more >= 0, square >= 0)
    refute(more >= 0, square >= -1)
    prove(dot * dot <= a_energy * b_energy, a_energy > 0, t * a_energy == dot, square >= 0)
    refute(dot * dot <= a_energy * b_energy - 1, a_energy > 0, t * a_energy == dot, square >= 0)
