"""Theorems of docs/units/ about rows: sums and monotony of softmax, LayerNorm of a moved row, widths, tables."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import z3

import ptqsim as pq
from ptqsim import units
from ptqsim.units.reference import layer_norm, target
from ptqsim.units.reference.fixed_point import MOST, doubled_high
from ptqsim.units.reference.layer_norm import ReciprocalRoot
from tests.proofs.symbolic import Integer, outcomes, prove, refute, value

n, other = z3.Ints("n other")
MONOTONE = [
    pq.Uniform(8, 1.0), pq.TwinSoftmax(8, 6), pq.TwinSoftmax(4, 3), pq.TwinSoftmax(6, 4, range_choice="nearest"),
    pq.TwinSoftmax(4, 9, range_choice="nearest"),
]  # fmt: skip
HOLE = pq.TwinSoftmax(4, 9)


def meaning(code: Any, fmt: Any) -> Any:
    """Value of the code of a format without a zero point, in steps of its finest range."""
    half = 1 << (fmt.bits - 1)
    if isinstance(fmt, pq.Uniform):
        return z3.If(code >= half, code - 2 * half, code)
    return z3.If(code >= half, (code - half) * 2**fmt.shift, code)


def quotient_code(numerator: Any, divisor: int, fmt: Any) -> Any:
    return value(lambda: target.encoded(Integer(numerator), divisor, fmt, doubled=True).code)


# --- softmax ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("divisor", [1, 7, 1000])
@pytest.mark.parametrize("fmt", MONOTONE, ids=lambda fmt: fmt.short())
def test_codes_are_monotone_in_the_exponential(fmt: Any, divisor: int) -> None:
    found, later = (meaning(quotient_code(one, divisor, fmt), fmt) for one in (n, other))
    prove(found <= later, n >= 0, n <= other)
    refute(found < later, n >= 0, n < other)


def test_codes_of_a_format_with_a_hole_are_not_monotone() -> None:
    found, later = (meaning(quotient_code(one, 7, HOLE), HOLE) for one in (n, other))
    refute(found <= later, n >= 0, n <= other)


@pytest.mark.parametrize("divisor", [2, 1000])
def test_a_code_is_off_by_half_a_step_of_its_range(divisor: int) -> None:
    """So that the codes of quotients that sum to 1 do so within half a step each."""
    for fmt in (pq.Uniform(8, 1.0), pq.TwinSoftmax(8, 6), pq.TwinSoftmax(4, 3)):
        top = fmt.aligned_max
        off = 2 * (meaning(quotient_code(n, divisor, fmt), fmt) * divisor - n)
        inside = n >= 0, n <= top * divisor
        prove(z3.And(off <= divisor << fmt.shift, off >= -(divisor << fmt.shift)), *inside)
        refute(z3.And(off < divisor << fmt.shift, off >= -(divisor << fmt.shift)), *inside)


def test_positions_are_monotone_in_the_distance() -> None:
    near, far = z3.Ints("near far")
    row = [5, 3, 0]
    for shift, mantissa in ((9, 181), (0, 3), (20, 40000)):
        multiplier = units.Multiplier([mantissa], [shift])
        unit = units.Softmax(pq.TwinSoftmax(8, 6), 4, 20, units.Division(), multiplier, (255, 214, 180, 152))
        assert unit.trace(row)["unbounded"].tolist() == [
            ((5 - a) * mantissa * 2 + (1 << shift)) >> (shift + 1) for a in row
        ]
        found = [(one * mantissa * 2 + (1 << shift)) / (1 << (shift + 1)) for one in (near, far)]
        prove(found[0] <= found[1], near >= 0, near <= far)


@pytest.mark.parametrize("bits", [2, 7, 15, 24])
def test_exponentials_fall_at_every_position(bits: int) -> None:
    """Every position of every number of entries: the other half of monotony in the scores."""
    for entries in [1 << f for f in range(11)]:
        for position_bits in (max(1, entries.bit_length() - 1), entries.bit_length() + 5):
            unit = units.Softmax.from_real(
                1.0, pq.Uniform(2, 0.5), 1 << position_bits, 20, entries, bits, position_bits, multiplier_bits=1
            )
            # one position for each unit of distance
            one = units.Multiplier([1], [0])
            unit = units.Softmax(unit.out_format, unit.length, 20, unit.division, one, unit.table, position_bits)
            found = unit.exponentials([-d for d in range(1 << position_bits)])
            assert found["position"] == list(range(1 << position_bits))
            exponential: Any = found["exponential"]
            assert all(after <= before for before, after in itertools.pairwise(exponential))
            assert exponential[-1] == 0


@pytest.mark.parametrize("make", [
    lambda: units.Softmax.from_real(3e-4, pq.TwinSoftmax(8, 6), 197, 16),
    lambda: units.Shiftmax.from_real(3e-4, pq.TwinSoftmax(8, 6), 197, 16),
    lambda: units.IExpSoftmax.from_real(3e-4, pq.TwinSoftmax(8, 6), 197, 16),
    lambda: units.ITASoftmax.from_real(3e-4, pq.TwinSoftmax(8, 6), 197, 16),
])  # fmt: skip
def test_every_distance_of_16_bits_stays_in_its_widths_and_falls(make: Any) -> None:
    """The path from a score to its exponential depends on the distance alone, so that all distances are one row."""
    unit = make()
    high = (1 << 15) - 1
    found, widths = unit.exponentials([high - d for d in range(1 << 16)]), unit.widths()
    for name in unit.own_widths():
        values = found[name]
        assert widths[name].lowest <= min(values), name
        assert max(values) <= widths[name].highest, name
    exponential: Any = found["exponential"]
    if not isinstance(unit, units.IExpSoftmax):  # whose polynomials meet within one unit at a multiple of ln 2
        assert all(after <= before for before, after in itertools.pairwise(exponential))


def test_the_reciprocal_of_the_sum() -> None:
    """e Q <= 2**R, and e Q is less than e 2**R / E by less than e."""
    e, total, reciprocal, power = z3.Ints("e total reciprocal power")
    given = e >= 0, e <= total, total > 0, power > 0, reciprocal * total <= power, power < (reciprocal + 1) * total
    prove(e * reciprocal <= power, *given)
    prove(e * power - e * reciprocal * total < e * total, *given, e > 0)
    refute(e * reciprocal < power, *given)


def test_products_of_words_of_tflite_are_words() -> None:
    """Of two words that are not negative, and less than either."""
    a = z3.Int("a")
    for b in (MOST, 1 << 30, 715827883, 1, 0):
        found = value(lambda: doubled_high(Integer(a), b), a >= 0, a <= MOST)  # noqa: B023
        prove(z3.And(found >= 0, found <= a, found <= b), a >= 0, a <= MOST)


# --- LayerNorm --------------------------------------------------------------------------------------------------------


def before_the_root(row: list[Any], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[Any]]:
    """The variance that the reference hands to the root, and the distances from the mean, of symbols."""
    unit = units.LayerNorm(pq.Uniform(8, 0.03), (100,), (3,), 5, len(row), x_bits=16, root="bits")
    handed = []

    def root(variance: Any, precision: int) -> ReciprocalRoot:
        handed.append(variance)
        return ReciprocalRoot(0, 1, 1, 1)

    monkeypatch.setattr(layer_norm, "reciprocal_root", root)
    # What follows the root is a function of it and of centered.
    monkeypatch.setattr(target, "shifted", lambda *_: target.Encoded(0, 0, 0))
    traces = outcomes(lambda: unit._trace([Integer(x) for x in row]))
    variance = value(lambda: (unit._trace([Integer(x) for x in row]), handed[-1])[1])
    return z3.simplify(variance, som=True), [z3.simplify(one.term, som=True) for one in traces[0][1]["centered"]]


@pytest.mark.parametrize("features", [2, 3, 5, 8])
def test_a_constant_changes_nothing_before_the_root(features: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Codes are a function of the variance and of centered, and neither sees the constant."""
    x, c = [z3.Int(f"x{i}") for i in range(features)], z3.Int("c")
    variance, centered = before_the_root(x, monkeypatch)
    moved, after = before_the_root([one + c for one in x], monkeypatch)
    prove(variance == moved)
    assert len(centered) == features
    for one, later in zip(centered, after, strict=True):
        prove(one == later)
    refute(centered[0] == 0)


# --- tables and quotients ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("divisor", [1, 3, 8, 1000])
@pytest.mark.parametrize("bits", [2, 3, 4])
def test_log2_codes_are_nearest_on_the_logarithmic_scale(bits: int, divisor: int) -> None:
    """2**(-code - 1/2) < n / d < 2**(-code + 1/2), squared to be exact; the first and the last code are open."""
    fmt = pq.Log2(bits)
    inside = n > 0, n < 4 * divisor
    code = value(lambda: target.encoded(Integer(n), divisor, fmt, doubled=True).code, *inside)
    last = fmt.code_count - 1
    for c in range(last + 1):
        if c < last:
            prove(2 * (n * 2**c) * (n * 2**c) > divisor**2, *inside, code == c)
        if c > 0:
            prove((n * 2**c) * (n * 2**c) < 2 * divisor**2, *inside, code == c)


@pytest.mark.parametrize("kind", [units.GELU, units.SiLU, units.QuickGELU, units.ReLU])
def test_every_entry_of_a_table_is_the_nearest_value_of_the_format(kind: Any) -> None:
    """|f(x) - value| is least among all values of the output format, in exact fractions, for every index."""
    for index in (pq.Uniform(8, 0.06), pq.TwinGELU(7, 3, 0.02)):
        for out in (pq.TwinGELU(8, 5, 0.0014), pq.Uniform(5, 0.4)):
            unit = kind.from_real(0.01, index, out, acc_bits=14)
            values = np.array(sorted({int(one) for one in out.aligned_table()}))
            for code, entry in enumerate(unit.table):
                real = kind.function(Fraction(int(index.aligned_table()[code])) * Fraction(index.step)) / Fraction(
                    out.step
                )
                legal = values[values >= 0] if real > 0 else values[values <= 0]
                least = min(abs(Fraction(int(one)) - real) for one in legal)
                assert abs(Fraction(int(out.aligned_table()[entry])) - real) == least
