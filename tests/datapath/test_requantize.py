"""The requantizer: all of a 16-bit accumulator, every shift, every rounding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ptqsim as pq
from ptqsim import Requantizer, RequantizeRounding

ALL_16_BITS = np.arange(-(2**15), 2**15)
SINGLE = [rounding for rounding in RequantizeRounding if rounding != "tflite_double"]

# An oracle of its own: a 16-bit integer over a power of two is a float64, and numpy rounds it.
IN_FLOATS = {
    "half_away": lambda t: np.copysign(np.floor(np.abs(t) + 0.5), t),
    "half_even": np.rint,
    "half_up": lambda t: np.floor(t + 0.5),
    "truncate": np.floor,
    "toward_zero": np.trunc,
}


@pytest.mark.parametrize("rounding", IN_FLOATS)
@pytest.mark.parametrize("shift", [*range(-6, 22), 40, 62, 63, 64, 70, 94])
def test_every_accumulator_of_16_bits(shift: int, rounding: str) -> None:
    found = Requantizer(1, shift, rounding).apply(ALL_16_BITS)
    assert np.array_equal(found, IN_FLOATS[rounding](ALL_16_BITS / 2.0**shift))


@pytest.mark.parametrize("rounding", RequantizeRounding)
@pytest.mark.parametrize("shift", [29, 30, 31, 32, 36, 38, 45, 46, 47, 50])
@pytest.mark.parametrize("multiplier", [2**30, 2**31 - 1, 1518500250])
def test_equals_the_reference(multiplier: int, shift: int, rounding: str) -> None:
    unit = Requantizer(multiplier, shift, rounding)
    near_ties = np.array([(2 * n + 1) * 2**s for n in range(-4, 4) for s in range(14)])
    values = np.concatenate([ALL_16_BITS[::97], near_ties, near_ties - 1, near_ties + 1])
    assert unit.apply(values).tolist() == [pq.reference.requantized(value, unit) for value in values.tolist()]


@given(
    st.lists(st.integers(-(2**61), 2**61), min_size=1, max_size=5),
    st.integers(1, 2**31 - 1),
    st.integers(30, 94),
    st.sampled_from(SINGLE),
)
def test_wide_accumulators_equal_the_reference(values: list[int], multiplier: int, shift: int, rounding: str) -> None:
    if rounding == "tflite_single":
        multiplier |= 1 << 30
    unit = Requantizer(multiplier, shift, rounding)
    if max(map(abs, values)) * multiplier >> shift >= 2**62:
        with pytest.raises(ValueError, match="leave 63 bits"):
            unit.apply(values)
    else:
        assert unit.apply(values).tolist() == [pq.reference.requantized(value, unit) for value in values]


def test_two_roundings_differ_from_one() -> None:
    # 0.75 * 2 / 4 = 0.375 rounds to 0; first 0.75 * 2 = 1.5 to 2, and then 2 / 4 = 0.5 to 1.
    multiplier = 3 << 29
    assert Requantizer(multiplier, 33, "tflite_single").apply([2]).tolist() == [0]
    assert Requantizer(multiplier, 33, "tflite_double").apply([2]).tolist() == [1]
    # A half of a negative product goes up in the first rounding and away from zero in the second.
    assert Requantizer(1 << 30, 31, "tflite_double").apply([-1, 1, -3, 3]).tolist() == [0, 1, -1, 2]
    assert Requantizer(1 << 30, 32, "tflite_double").apply([-4, 4]).tolist() == [-1, 1]
    assert Requantizer(1 << 30, 32, "tflite_single").apply([-2, 2]).tolist() == [0, 1]


@given(st.floats(1e-12, 1e6), st.integers(1, 31))
def test_nearest_multiplier(factor: float, bits: int) -> None:
    unit = Requantizer.of(factor, bits)
    assert 2 ** (bits - 1) <= unit.multiplier < 2**bits
    assert abs(unit.factor - factor) <= 2.0**-bits * factor


@pytest.mark.parametrize("rounding", ["half_away", "half_even", "half_up", "truncate", "toward_zero"])
def test_codes(rounding: str, rng: np.random.Generator) -> None:
    number_format = pq.Uniform(6, 0.5)
    acc = rng.integers(-3000, 3000, (7, 9))
    bias = rng.integers(-500, 500, 9)
    scale = 0.0078125  # a power of two: the integer multiplier is exact
    for multiplier_bits in (31, 8, None):
        codes = pq.requantize(acc, scale, number_format, rounding, multiplier_bits, bias)
        assert codes.dtype == np.uint8
        expected = np.clip(IN_FLOATS[rounding]((acc + bias) * scale / 0.5), -32, 31)
        assert np.array_equal(number_format.align(codes), expected)
    assert pq.requantize(np.int64(64), scale, number_format).tolist() == 1


def test_result_of_a_product(rng: np.random.Generator) -> None:
    uniform = pq.Uniform(8, 0.01)
    a = pq.quantize(rng.normal(0, 0.4, (5, 32)), uniform)
    b = pq.quantize(rng.normal(0, 0.4, (32, 6)), uniform)
    result = pq.matmul(a, b, pq.Accumulator(32))
    out = pq.Uniform(8, 0.05)
    codes = pq.requantize(result.acc, result.scale, out)
    assert np.abs(out.decode(codes) - result.real()).max() <= 0.025 * (1 + 1e-6)


def test_bad_input() -> None:
    uniform = pq.Uniform(8, 0.1)
    with pytest.raises(ValueError, match="gives Uniform codes, got TwinSoftmax"):
        pq.requantize([1], 0.1, pq.TwinSoftmax(8, 3))
    with pytest.raises(ValueError, match="Did you mean 'half_away'"):
        pq.requantize([1], 0.1, uniform, "half_awy")
    with pytest.raises(ValueError, match="acc must be integers"):
        pq.requantize([1.0], 0.1, uniform)
    with pytest.raises(ValueError, match="scale must be finite and positive"):
        pq.requantize([1], -0.1, uniform)
    with pytest.raises(ValueError, match="multiplier_bits must be an integer from 1 to 31"):
        pq.requantize([1], 0.1, uniform, multiplier_bits=32)
    with pytest.raises(ValueError, match=r"bias \(2,\) does not broadcast to acc \(1,\)"):
        pq.requantize([1], 0.1, uniform, bias=[1, 2])
    with pytest.raises(ValueError, match=r"bias has magnitudes above 2\*\*61"):
        pq.requantize([1], 0.1, uniform, bias=[2**62])
    with pytest.raises(ValueError, match="between"):
        pq.requantize([1], 1e-30, uniform)
    for rounding in ("tflite_single", "tflite_double"):
        with pytest.raises(ValueError, match="multiplier of 31 bits"):
            Requantizer(5, 3, rounding)
        with pytest.raises(ValueError, match="multiplier_bits=31"):
            pq.requantize([1], 0.1, uniform, rounding, None)
    with pytest.raises(ValueError, match="works in int32"):
        Requantizer(1 << 30, 31, "tflite_double").apply([2**31])
    for multiplier, shift in ((0, 3), (2**31, 3), (5, 95), (5, -33)):
        with pytest.raises(ValueError, match="must be an integer from"):
            Requantizer(multiplier, shift)
