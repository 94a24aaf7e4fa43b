"""The requantizer where its ranges end, and what it says beyond them."""

from __future__ import annotations

import math
import re
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, localcontext

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import Requantizer

UNIFORM = pq.Uniform(8, 1.0)


def refused(message: str) -> pytest.RaisesContext[ValueError]:
    """A ValueError that says this and nothing else."""
    return pytest.raises(ValueError, match=f"^{re.escape(message)}$")


def test_multipliers_and_shifts() -> None:
    for multiplier, shift in ((1, -32), (2**31 - 1, 94)):
        assert (Requantizer(multiplier, shift).multiplier, Requantizer(multiplier, shift).shift) == (multiplier, shift)
    for multiplier in (0, 2**31):
        with refused(f"multiplier must be an integer from 1 to {2**31 - 1}, got {multiplier}"):
            Requantizer(multiplier, 3)
    for shift in (-33, 95):
        with refused(f"shift must be an integer from -32 to 94, got {shift}"):
            Requantizer(1, shift)
    for rounding in ("tflite_single", "tflite_double"):
        assert Requantizer(2**30, 31, rounding).multiplier == 2**30
        with refused(
            f"rounding {rounding!r} is defined for a multiplier of 31 bits (2**30 to 2**31 - 1), got {2**30 - 1}; take "
            "multiplier_bits=31"
        ):
            Requantizer(2**30 - 1, 31, rounding)


def test_factors() -> None:
    assert Requantizer.of(1.0) == Requantizer(2**30, 30)
    assert Requantizer.of(0.75, 2) == Requantizer(3, 2)
    assert Requantizer.of(0.75, 1) == Requantizer(1, 0)  # 3/4 of one bit is rounded to even: 2, which is 1 and a shift
    assert Requantizer.of(2.0**-62) == Requantizer(2**30, 92)
    assert Requantizer.of(np.nextafter(2.0**32, 0)) == Requantizer(2**30, -2)
    assert Requantizer.of(2.0**31, 1) == Requantizer(1, -31)
    for factor in (float(np.nextafter(2.0**-62, 0)), 2.0**32):
        with refused(f"the factor scale_in / scale_out must be between 2**-62 and 2**32, got {factor!r}"):
            Requantizer.of(factor)
    with pytest.raises(ValueError, match=r"^multiplier_bits must be an integer from 1 to 31, got 0$"):
        Requantizer.of(0.5, 0)


@pytest.mark.parametrize("rounding", pq.RequantizeRounding)
def test_the_multiplier_of_tflite(rounding: str) -> None:
    """QuantizeMultiplier of TFLite in decimal arithmetic: frexp, 31 bits, a half away from zero, and what it caps."""
    rng = np.random.default_rng(0)
    halves = [(2 * int(n) + 1) / 2**32 for n in rng.integers(2**30, 2**31, 200)]  # between two multipliers of 31 bits
    around = [(2**31 + 1) / 2**32, (2**32 - 1) / 2**32, float(np.nextafter(1, 0)), 0.5, 1 - 2.0**-33]
    mantissas = [*rng.uniform(0.5, 1, 200).tolist(), *halves, *around]
    tflite, differ = rounding.startswith("tflite"), 0
    with localcontext() as context:
        context.prec = 100
        for mantissa, exponent in zip(mantissas * 3, rng.integers(-61, 31, 3 * len(mantissas)).tolist(), strict=True):
            scaled = Decimal(mantissa) * 2**31
            fixed = int(scaled.to_integral_value(ROUND_HALF_UP if tflite else ROUND_HALF_EVEN))
            differ += fixed != int(scaled.to_integral_value(ROUND_HALF_EVEN))
            expected = (2**30, exponent + 1) if fixed == 2**31 else (fixed, exponent)
            if rounding == "tflite_single" and expected[1] > 30:
                expected = 2**31 - 1, 30
            unit = Requantizer.of(math.ldexp(mantissa, exponent), rounding=rounding)
            assert (unit.multiplier, 31 - unit.shift) == expected
    # About half of the halves have an even neighbor below.
    assert (differ > 200) == tflite
    assert Requantizer.of((2**31 + 1) / 2**32, rounding=rounding).multiplier == 2**30 + tflite


def test_factors_too_large_for_tflites_single_rounding() -> None:
    assert Requantizer.of(2.0**29, rounding="tflite_single") == Requantizer(2**30, 1, "tflite_single")
    for factor in (2.0**30, 1.7 * 2.0**31):
        assert Requantizer.of(factor, rounding="tflite_single") == Requantizer(2**31 - 1, 1, "tflite_single")
    assert Requantizer.of(2.0**30, rounding="tflite_double") == Requantizer(2**30, 0, "tflite_double")


def test_factors_below_those_of_tflite() -> None:
    """Below 2**-32 TFLite takes the multiplier 0; of int32 the results are 0 with any other multiplier, too."""
    acc = np.array([-(2**31), 2**31 - 1, 1, 0, -1])
    for rounding in ("tflite_single", "tflite_double"):
        for exponent in (-32, -33, -40, -61):
            unit = Requantizer.of(math.ldexp(1 - 2.0**-31, exponent), rounding=rounding)
            assert unit.apply(acc).tolist() == [0] * 5


def test_results_of_62_bits_and_no_more() -> None:
    last = 2**62 - 1
    assert Requantizer(1, 0).apply([last, -last]).tolist() == [last, -last]
    assert Requantizer(1, 1, "truncate").apply([2**63 - 1]).tolist() == [last]
    assert Requantizer(2**30 - 1, -32).apply([1, 0]).tolist() == [(2**30 - 1) << 32, 0]
    assert Requantizer(2**31 - 1, -32).apply([0]).tolist() == [0]
    assert Requantizer(2**31 - 1, -32).apply(np.zeros(0, int)).tolist() == []
    for unit, acc in (
        (Requantizer(1, 0), 2**62), (Requantizer(1, 0), -(2**62)), (Requantizer(2**30, -32), 1),
        (Requantizer(1, 1), -(2**63)), (Requantizer(2**30, -32), -1),
    ):  # fmt: skip
        with refused(f"accumulators up to {abs(acc)} times {unit.factor:.6g} leave 63 bits"):
            unit.apply([acc])


def test_products_beside_the_machine_word() -> None:
    """2**62 is where `apply` goes over to Python integers."""
    for multiplier, acc in ((2**31 - 1, 2**31 + 1), (2**30, 2**32), (2**30, 2**32 - 1), (2**31 - 1, 2**33 + 5)):
        for rounding in ("half_away", "half_even", "half_up", "truncate", "toward_zero", "tflite_single"):
            for shift in (2, 33, 61, 62, 63, 64):
                unit = Requantizer(multiplier, shift, rounding)
                values = [acc, -acc, acc - 1, 1, -1, 0]
                if acc * multiplier >> shift < 2**62:
                    assert unit.apply(values).tolist() == [pq.reference.requantized(v, unit) for v in values]


@pytest.mark.parametrize("left", [0, 1, 4])
def test_two_roundings_take_all_of_int32(left: int) -> None:
    low, high = -(2**31) >> left, (2**31 - 1) >> left
    unit = Requantizer(2**30 + 1, 31 - left, "tflite_double")
    assert unit.apply([low, high]).tolist() == [pq.reference.requantized(v, unit) for v in (low, high)]
    for outside in (low - 1, high + 1):
        with refused(
            f"rounding 'tflite_double' works in int32, and {outside} << {left} is outside; narrow the accumulator, or "
            "use another rounding"
        ):
            unit.apply([0, outside])
    assert unit.apply(np.zeros((0, 3), np.int32)).shape == (0, 3)
    for zeros in (np.zeros(2, int), np.zeros(0, int)):
        assert Requantizer(2**30, -32, "tflite_double").apply(zeros).tolist() == zeros.tolist()


def test_two_roundings_of_what_lies_beside_a_half() -> None:
    """The nudge of gemmlowp counts to the last bit: -(2**30 + 1) is below the half that goes up."""
    unit = Requantizer(2**30 + 1, 31, "tflite_double")
    assert unit.apply([-1, 1]).tolist() == [-1, 1]
    assert [pq.reference.requantized(value, unit) for value in (-1, 1)] == [-1, 1]
    unit = Requantizer(2**30, 34, "tflite_double")
    assert unit.apply([-4, 4, -12, 12, -24, 24, 0]).tolist() == [0, 0, -1, 1, -2, 2, 0]
    assert [pq.reference.requantized(value, unit) for value in (-4, 4, -12, 12, -24, 24, 0)] == [0, 0, -1, 1, -2, 2, 0]


def test_codes_beyond_every_integer() -> None:
    """A real factor of any size: clamped while it is still a float."""
    acc = [2**40, -(2**40), 0]
    assert UNIFORM.align(pq.requantize(acc, 1e30, UNIFORM, multiplier_bits=None)).tolist() == [127, -128, 0]
    assert pq.requantize(np.zeros((0, 2), int), 0.5, UNIFORM, bias=[1, 2]).shape == (0, 2)


@pytest.mark.parametrize("multiplier_bits", [31, None])
@pytest.mark.parametrize(("scale", "to"), [(1e300, 1e-300), (1e-300, 1e300), (1e-160, 1e150)])
def test_factors_that_are_no_float64(multiplier_bits: int | None, scale: float, to: float) -> None:
    """Infinite, and 0 times that is no number; zero, and a negative number times that is not rounded down."""
    with pytest.raises(ValueError, match=r"is outside the normal range of float64 \(2.23e-308 to 1.8e\+308\); give"):
        pq.requantize([0, -1], scale, pq.Uniform(8, to), "truncate", multiplier_bits)


def test_real_factors_at_the_ends_of_float64() -> None:
    largest, least = 1.7e308, 2.3e-308
    for rounding in ("half_away", "half_even", "half_up", "truncate", "toward_zero"):
        codes = pq.requantize([2**62, 1, 0, -1, -(2**62)], largest, UNIFORM, rounding, None)
        assert UNIFORM.align(codes).tolist() == [127, 127, 0, -128, -128]
        codes = pq.requantize([2**62, 1, 0, -1, -(2**62)], least, UNIFORM, rounding, None)
        below = -1 if rounding == "truncate" else 0
        assert UNIFORM.align(codes).tolist() == [0, 0, 0, below, below]


def test_biases() -> None:
    most = 2**61
    narrow = pq.requantize([most, -most], 2.0**-56, UNIFORM, bias=[most, -most])
    assert UNIFORM.align(narrow).tolist() == [64, -64]
    for name, acc, bias in (
        ("acc", [most + 1], [0]), ("acc", [-most - 1], [0]), ("bias", [0], [most + 1]), ("bias", [0], [-most - 1]),
    ):  # fmt: skip
        with refused(f"{name} has magnitudes above 2**61, and acc + bias might leave 63 bits"):
            pq.requantize(acc, 2.0**-56, UNIFORM, bias=bias)
    with refused("bias (3,) does not broadcast to acc (2, 2)"):
        pq.requantize([[1, 2], [3, 4]], 0.5, UNIFORM, bias=[1, 2, 3])
    with refused("bias must be integers of at most 64 bits, signed, got an array of float64"):
        pq.requantize([1], 0.5, UNIFORM, bias=[0.5])


def test_types() -> None:
    assert Requantizer(1, 0).apply(np.array([3], np.uint32)).tolist() == [3]
    assert Requantizer(1, 0).apply(np.array([3], np.uint32)).dtype == np.int64
    for given in (np.array([1.0]), np.array([1], np.uint64), np.array([True])):
        with refused(f"acc must be integers of at most 64 bits, signed, got an array of {given.dtype}"):
            Requantizer(1, 0).apply(given)
        with refused(f"acc must be integers of at most 64 bits, signed, got an array of {given.dtype}"):
            pq.requantize(given, 1.0, UNIFORM)
    with refused(
        "requantize gives Uniform codes, got TwinGELU; for another format encode acc * scale, after its softmax or "
        "GELU for a twin format"
    ):
        pq.requantize([1], 0.1, pq.TwinGELU(8, 3, 1.0))
    for rounding in ("tflite_single", "tflite_double"):
        with refused(f"rounding {rounding!r} is defined for multiplier_bits=31, not for a real factor"):
            pq.requantize([1], 0.1, UNIFORM, rounding, None)
    assert pq.requantize([5], 0.5, UNIFORM).tolist() == pq.requantize([5], 0.5, UNIFORM, "half_away", 31).tolist()
