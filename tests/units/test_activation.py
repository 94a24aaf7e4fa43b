"""Tables of activations: the quantized function of the quantized value."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy import special

import ptqsim as pq
from ptqsim import units
from ptqsim.units import exact_functions

REAL: dict[type[units.Activation], Any] = {
    units.GELU: lambda x: x * special.ndtr(x),
    units.SiLU: lambda x: x * special.expit(x),
    units.QuickGELU: lambda x: x * special.expit(1.702 * x),
    units.ReLU: lambda x: np.maximum(x, 0),
}
INDEX = [pq.Uniform(8, 0.06), pq.Uniform(4, 0.5), pq.TwinGELU(9, 4, 0.004), pq.Uniform(10, 0.03)]
OUT = [pq.TwinGELU(8, 5, 0.0014, "half_up"), pq.Uniform(8, 0.05, "half_up"), pq.Uniform(4, 0.7, "half_up")]


@pytest.mark.parametrize("activation", REAL, ids=lambda one: one.__name__)
def test_the_table_is_the_quantized_function_of_the_quantized_value(activation: Any) -> None:
    for index in INDEX:
        for out in OUT:
            unit = activation.from_real(0.01, index, out, acc_bits=16)
            codes = out.encode(REAL[activation](index.real_table()))
            # One last bit of float64 may decide a tie of ReLU, whose values are multiples of a step.
            allowed = 0 if activation is not units.ReLU else 1
            assert np.abs(units.steps(out, np.array(unit.table), codes)).max() <= allowed


@pytest.mark.parametrize("activation", REAL, ids=lambda one: one.__name__)
def test_functions_agree_with_scipy(activation: Any) -> None:
    for numerator in range(-1200, 1200, 7):
        x = Fraction(numerator, 64)
        expected = float(REAL[activation](float(x)))
        assert float(activation.function(x)) == pytest.approx(expected, rel=1e-12, abs=1e-50)


def test_functions_agree_with_mpmath_to_forty_digits() -> None:
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workdps(70):
        for numerator in range(-700, 700, 33):
            x = Fraction(numerator, 37)
            real = mpmath.mpf(x.numerator) / x.denominator
            logistic = 1 / (1 + mpmath.exp(-real))
            for found, expected in (
                (exact_functions.gelu(x), real * mpmath.ncdf(real)),
                (exact_functions.silu(x), real * logistic),
                (exact_functions.log2_e(x), real / mpmath.log(2)),
            ):
                assert abs(mpmath.mpf(found.numerator) / found.denominator - expected) < mpmath.mpf(10) ** -40


def test_powers_of_two_are_nearest() -> None:
    for entries in (1, 2, 16, 64):
        for amplitude in (127, 255, 32767, 2**24 - 1):
            for i in range(entries):
                value = exact_functions.power_of_two(i, entries, amplitude)
                below, above = (2 * value - 1) ** entries << i, (2 * value + 1) ** entries << i
                assert below <= (2 * amplitude) ** entries < above


def test_every_accumulator_of_a_channel_goes_through_the_table() -> None:
    index, out = pq.Uniform(8, 0.06, "half_up"), OUT[0]
    unit = units.GELU.from_real(2.0**-9, index, out, bias=0.25, acc_bits=14)
    acc = np.arange(-(2**13), 2**13)
    trace = unit.trace(acc)
    assert np.array_equal(unit(acc), trace["code"])
    assert np.array_equal(np.array(unit.table)[trace["index"]], trace["code"])
    # The multiplier of 16 bits moves a rounding here and there, by one.
    assert np.abs(units.steps(index, trace["index"], index.encode(acc * 2.0**-9 + 0.25))).max() <= 1


def test_the_error_against_the_unrounded_pre_activation() -> None:
    """Steps of TwinGELU, over every accumulator from -6.5536 to 6.5535 (docs/units/activation.md)."""
    acc = np.arange(-(2**16), 2**16)
    real = REAL[units.GELU](acc * 1e-4)
    found = {}
    for bits in (8, 6, 4):
        top = (1 << (bits - 1)) - 1
        out = pq.TwinGELU.covering(bits, 6.5536 / top)
        signed = pq.TwinGELU(bits + 1, 1, 6.5536 / ((1 << bits) - 1) / 2)
        for name, index in (("uniform", pq.Uniform(bits, 6.5536 / top)), ("sign and magnitude", signed)):
            unit = units.GELU.from_real(1e-4, index, out, acc_bits=17)
            found[bits, name] = units.greatest_error(out, unit(acc), real)
    assert found == {
        (8, "uniform"): 8, (8, "sign and magnitude"): 2, (6, "uniform"): 7, (6, "sign and magnitude"): 2,
        (4, "uniform"): 5, (4, "sign and magnitude"): 2,
    }  # fmt: skip


def test_refusals() -> None:
    rescale, out = units.Rescale.from_real(0.01, pq.Uniform(4, 0.5), acc_bits=12), OUT[0]
    with pytest.raises(
        ValueError, match=r"a table of 8 entries cannot follow Uniform\(bits=4, scale=0.5\), which has 16"
    ):
        units.GELU(out, rescale, (0,) * 8)
    with pytest.raises(ValueError, match="table must be integers from 0 to 255, got 256 at index 15"):
        units.GELU(out, rescale, (0,) * 15 + (256,))
    with pytest.raises(ValueError, match="of up to 12 bits"):
        units.GELU.from_real(0.01, pq.Uniform(13, 0.5), out)
    with pytest.raises(ValueError, match="of up to 12 bits"):
        units.GELU.from_real(0.01, pq.Log2(6), out)
    with pytest.raises(TypeError, match="rescale must be a Rescale"):
        units.GELU(out, 3, (0,) * 16)
    with pytest.raises(TypeError, match="abstract"):
        units.Activation(out, rescale, (0,) * 16)
