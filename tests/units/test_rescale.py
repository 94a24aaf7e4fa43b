"""Rescaling and residual sums, exhaustively: every accumulator in every format, against encoders of reals."""

from __future__ import annotations

from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import units
from ptqsim.units import target
from ptqsim.units.interval import Interval
from ptqsim.units.reference.target import encoded, shifted

ACC = np.arange(-(2**11), 2**11)
# Scales are powers of two, so that the reals are exact in float64, and the format's own encoder is an oracle.
FORMATS = [
    pq.Uniform(8, 0.25, "half_up"),
    pq.Uniform(4, 2.0, "half_up"),
    pq.TwinGELU(6, 3, 0.125, "half_up"),
    pq.TwinGELU(6, 3, 0.125, range_choice="nearest"),
    pq.TwinGELU(4, 0, 0.5, "half_up"),
    pq.TwinSoftmax(6, 4, "half_up"),
    pq.TwinSoftmax(6, 4, range_choice="nearest"),
    pq.TwinSoftmax(4, 7, "half_up"),
    pq.TwinSoftmax(4, 7, range_choice="nearest"),
    pq.TwinSoftmax(8, 0, "half_up"),
    pq.Log2(4),
    pq.Log2(3),
]


@pytest.mark.parametrize("number_format", FORMATS, ids=lambda fmt: fmt.short())
@pytest.mark.parametrize("mantissa", [1, 5, 181])
def test_every_accumulator_becomes_the_code_of_its_real(number_format: Any, mantissa: int) -> None:
    for shift in range(-2, 16):
        unit = units.Rescale(number_format, units.Multiplier([mantissa], [shift]), (3,), acc_bits=12)
        reals = (ACC + 3) * (mantissa * 2.0**-shift) * target.unit_scale(number_format)
        assert np.array_equal(unit(ACC), number_format.encode(reals)), shift


@pytest.mark.parametrize("number_format", FORMATS, ids=lambda fmt: fmt.short())
def test_a_shift_is_a_quotient_by_a_power_of_two(number_format: Any) -> None:
    for shift in range(6):
        reals = np.arange(-300, 300) * 2.0**-shift * target.unit_scale(number_format)
        for numerator, code in zip(range(-300, 300), number_format.encode(reals).tolist(), strict=True):
            by_shift = shifted(numerator, shift, number_format)
            by_quotient = encoded(numerator, 1 << shift, number_format, doubled=True)
            assert by_shift[1:] == by_quotient[1:]
            assert by_shift.code == code


@pytest.mark.parametrize("number_format", FORMATS, ids=lambda fmt: fmt.short())
@pytest.mark.parametrize("divisor", [1, 3, 4])
def test_widths_of_every_short_interval(number_format: Any, divisor: int) -> None:
    """The widest numerator decides, also where R1 is the nearer range for values far above its top."""
    shift = divisor.bit_length() - 1
    for highest in range(0, 300, 11):
        scaled = Interval(-highest // 2, highest)
        by_quotient = target.widths_of_quotient(scaled, Interval(divisor, divisor), number_format)
        by_shift = target.widths_of_shift(scaled, shift, number_format)
        for numerator in range(scaled.lowest, scaled.highest + 1):
            found = encoded(numerator, divisor, number_format, doubled=True)
            assert all(getattr(found, name) in interval for name, interval in by_quotient.items())
            found = shifted(numerator, shift, number_format)
            assert all(getattr(found, name) in interval for name, interval in by_shift.items())


def test_it_is_the_requantizer_with_half_up() -> None:
    rng = np.random.default_rng(0)
    acc = rng.integers(-(2**20), 2**20, 5000)
    for bits in (4, 8, 16):
        fmt = pq.Uniform(bits, 0.02)
        unit = units.Rescale.from_real(3e-5, fmt, bias=0.3, acc_bits=21, multiplier_bits=16)
        expected = pq.requantize(acc, 3e-5, fmt, "half_up", multiplier_bits=16, bias=[10000] * len(acc))
        assert np.array_equal(unit(acc), expected)


def test_channels_have_multipliers_and_biases_of_their_own() -> None:
    scales, bias, fmt = np.array([0.5, 0.25, 2.0]), np.array([1.0, 0.0, -4.0]), pq.Uniform(8, 1.0)
    unit = units.Rescale.from_real(scales, fmt, bias, acc_bits=8)
    assert unit.bias == (2, 0, -2)
    assert unit.multiplier.factors == (0.5, 0.25, 2.0)
    assert fmt.align(unit([[3, 3, 3], [4, 6, -5]])).tolist() == [[3, 1, 2], [3, 2, -14]]  # (3 + 2) / 2 = 2.5: up
    shared = units.Rescale.from_real(0.5, fmt, bias, acc_bits=8)
    assert shared.channels == 3


def test_multipliers_are_nearest_and_without_trailing_zeros() -> None:
    for bits in (2, 8, 16, 31):
        for factor in (0.3, 1 / 3, 77.7, 2.0**-20, 1.9999999999, 1e-9):
            (mantissa,), (shift,) = (made := units.Multiplier.of(factor, bits)).mantissa, made.shift
            assert mantissa % 2 == 1 or shift <= 0
            assert mantissa < 1 << bits
            assert abs(Fraction(mantissa) / Fraction(2) ** shift / Fraction(factor) - 1) <= Fraction(1, 2**bits)
    assert units.Multiplier.of([0.25, -3.0]) == units.Multiplier([1, -3], [2, 0])


def test_a_zero_point_of_a_format_is_taken_without_change() -> None:
    """An unsigned code is aligned + zero point, and aligned lies in -5 .. 10, by definition."""
    fmt = pq.Uniform(4, 1.0, signed=False, zero_point=5)
    unit = units.Rescale(fmt, units.Multiplier([1], [0]), acc_bits=8)
    assert unit(np.arange(-20, 20)).tolist() == [min(max(value, -5), 10) + 5 for value in range(-20, 20)]
    for value in range(-20, 20):
        assert shifted(value, 0, fmt).code == min(max(value, -5), 10) + 5
    constants = target.kernel_constants(fmt).tolist()
    assert constants[1:4] == [-5, 10, 5]
    low = units.Rescale.__new__(units.Rescale)
    object.__setattr__(low, "out_format", fmt)
    object.__setattr__(low, "multiplier", units.Multiplier([1], [0]))
    object.__setattr__(low, "bias", (0,))
    object.__setattr__(low, "acc_bits", 6)
    assert low(np.arange(-20, 20)).tolist() == [min(max(value, -5), 10) + 5 for value in range(-20, 20)]


# --- the residual -----------------------------------------------------------------------------------------------------


def test_every_residual_and_every_branch() -> None:
    fmt = pq.Uniform(6, 1.0)
    unit = units.ResidualAdd(fmt, (3,), (-5, 2), 2, (1, -1), x_bits=6, acc_bits=5)
    x, acc = np.meshgrid(np.arange(-32, 32), np.arange(-16, 16), indexing="ij")
    found = fmt.align(unit(np.stack([x, x], -1), np.stack([acc, acc], -1)))
    for channel, (m2, bias) in enumerate([(-5, 1), (2, -1)]):
        exact = [Fraction(3 * i + m2 * (a + bias), 4) for i, a in zip(x.flat, acc.flat, strict=True)]
        expected = [min(max(floor(value + Fraction(1, 2)), -32), 31) for value in exact]
        assert found[..., channel].ravel().tolist() == expected


def test_the_sum_of_reals_is_within_half_a_step() -> None:
    rng = np.random.default_rng(1)
    fmt, scales = pq.Uniform(16, 2**-9), rng.uniform(1, 3, 5) * 1e-4
    bias = rng.normal(0, 1, 5)
    unit = units.ResidualAdd.from_real(2**-9, scales, fmt, bias, acc_bits=18)
    x, acc = rng.integers(-8000, 8000, (400, 5)), rng.integers(-(2**17), 2**17, (400, 5))
    real = x * 2.0**-9 + acc * scales + bias
    # Half a step, the rounding of the bias, and a multiplier of 15 to 16 bits for branches of up to 40.
    assert np.abs(fmt.decode(unit(x, acc)) - real).max() <= 2**-10 + scales.max() / 2 + 40 * 2.0**-16
    assert unit.m1 == (1 << unit.shift,)


def test_a_residual_too_narrow_says_how_many_bits_would_do() -> None:
    with pytest.raises(ValueError, match=r"8 bits with the scale 0.1 reaches to 12.7.*give it 12 bits, or a scale of"):
        units.ResidualAdd.from_real(0.1, 1e-4, pq.Uniform(8, 0.1), largest=200.0)
    units.ResidualAdd.from_real(0.1, 1e-4, pq.Uniform(12, 0.1), x_bits=12, largest=200.0)
    with pytest.raises(ValueError, match="too far from the step"):
        units.ResidualAdd.from_real(1e-12, 1e3, pq.Uniform(8, 1e4), x_bits=8, acc_bits=8)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: units.Rescale(pq.PWLQ(8, 0.1, 0.5, 1.0), units.Multiplier([1], [0])), "a unit writes Uniform"),
        (lambda: units.Rescale(pq.Log2(4, root=2), units.Multiplier([1], [0])), r"root 1.*got root 2; take.*Log2\(4\)"),
        (lambda: units.Rescale(pq.Uniform(4, [0.1], axis=-1), units.Multiplier([1], [0])), "one scale.*axis -1; take"),
        (lambda: units.Rescale.from_real(1.0, pq.Uniform(4, [0.1, 1.0], axis=-2)), "one scale.*axis -2; take"),
        (lambda: units.Rescale(pq.Uniform(8, 1.0), units.Multiplier([1, 2], [0, 0]), (1, 2, 3)), "different numbers"),
        (lambda: units.Rescale(pq.Uniform(8, 1.0), units.Multiplier([2**31 - 1], [0]), acc_bits=40), "'product' needs"),
        (lambda: units.Rescale(pq.Uniform(8, 1.0), units.Multiplier([1], [0]), (2**9,), 8), "bias must be integers"),
        (lambda: units.Rescale(pq.Log2(4), units.Multiplier([1], [40])), "31 bits and needs 41"),
        (lambda: units.Multiplier([1, 2], [0]), "2 mantissas have 1 shifts"),
        (lambda: units.Multiplier([2**31], [0]), "mantissa must be integers"),
        (lambda: units.Multiplier([], []), "at least one integer"),
        (lambda: units.Multiplier.of(0.0), "a factor must have a magnitude"),
        (lambda: units.Multiplier.of(1e12), "a factor must have a magnitude"),
        (lambda: units.Multiplier.of([1.0, np.nan]), "factor must be finite; 1 of 2"),
        (lambda: units.Rescale.from_real(-1.0, pq.Uniform(8, 1.0)), "in_scale must be finite and positive"),
        (lambda: units.ResidualAdd(pq.TwinSoftmax(8, 3), (1,), (1,), 0), "must be an? Uniform"),
        (lambda: units.ResidualAdd(pq.Uniform(8, 1.0), (1, 1), (1, 1, 1), 0), "different numbers of channels"),
    ],
)  # fmt: skip
def test_refusals(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: units.Rescale(8, units.Multiplier([1], [0])),
        lambda: units.Rescale(pq.Uniform(8, 1.0), 0.5),
        lambda: units.Rescale(pq.Uniform(8, 1.0), units.Multiplier([1], [0]), (0.5,)),
        lambda: units.Rescale(pq.Uniform(8, 1.0), units.Multiplier([1], [0]), acc_bits=8.0),
        lambda: units.Multiplier([0.5], [0]),
        lambda: units.Multiplier.of("0.5"),
        lambda: units.Multiplier.of(0.5, 8.0),
    ],
)
def test_wrong_types(make: Any) -> None:
    with pytest.raises(TypeError):
        make()
