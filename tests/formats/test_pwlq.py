from __future__ import annotations

import json

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import formats
from tests.formats import oracle


def expected_real(x: np.floating, number_format: pq.PWLQ) -> float:
    half, mode = 1 << (number_format.bits - 1), str(number_format.rounding)
    if abs(x) < number_format.breakpoint:
        return (
            min(max(oracle.rounded(oracle.quotient(x, number_format.scale), mode), -half), half - 1)
            * number_format.scale
        )
    rest = abs(x) - type(x)(number_format.breakpoint)
    magnitude = min(oracle.rounded(oracle.quotient(rest, number_format.tail_scale), mode), half - 1)
    value = number_format.breakpoint + magnitude * number_format.tail_scale
    return -value if x < 0 else value


@pytest.mark.parametrize("rounding", ["half_even", "half_away", "half_up", "toward_zero"])
@pytest.mark.parametrize("bits", [2, 4, 8, 12])
def test_encode_and_decode(bits: int, rounding: str, rng: np.random.Generator) -> None:
    number_format = pq.PWLQ(bits, 0.0625, 0.25, 0.75, rounding)
    reals = np.concatenate([rng.normal(0, 2, 300), np.arange(-60, 60) / 32, [1e30, -1e30, 0.75, -0.75]]).astype(
        np.float32
    )
    codes = number_format.encode(reals)
    assert codes.dtype == (np.uint8 if bits < 8 else np.uint16)
    assert codes.max() < number_format.code_count == 2 ** (bits + 1)
    assert number_format.decode(codes).tolist() == [expected_real(x, number_format) for x in reals]


@pytest.mark.parametrize("bits", [2, 5, 8])
def test_every_code_is_reached(bits: int) -> None:
    # The breakpoint lies beyond the center's last value, so that every code is its own nearest.
    half = 1 << (bits - 1)
    number_format = pq.PWLQ(bits, 0.5, 2.0, half * 0.5 + 0.125)
    codes = np.arange(number_format.code_count)
    assert np.array_equal(number_format.encode(number_format.decode(codes)), codes)


def test_covering() -> None:
    number_format = pq.PWLQ.covering(8, 1.0, 9.0)
    assert number_format.real_max == pytest.approx(9.0, rel=1e-15)
    assert number_format.real_min == pytest.approx(-9.0, rel=1e-15)
    assert number_format.scale * 127 == pytest.approx(1.0, rel=1e-15)
    with pytest.raises(ValueError, match="must be above the breakpoint"):
        pq.PWLQ.covering(8, 1.0, 1.0)


def test_stored_with_one_more_bit(rng: np.random.Generator) -> None:
    number_format = pq.PWLQ.covering(8, 0.5, 4.0)
    array = pq.quantize(rng.normal(size=40), number_format)
    assert len(array.pack()) == 40 * 9 // 8
    assert np.array_equal(pq.QuantizedArray.from_packed(array.pack(), number_format, 40).codes, array.codes)
    assert formats.from_dict(json.loads(json.dumps(number_format.to_dict()))) == number_format


def test_no_datapath_takes_it() -> None:
    number_format = pq.PWLQ.covering(8, 0.5, 4.0)
    assert not number_format.shift_alignable
    array, uniform = pq.quantize([[1.0]], number_format), pq.quantize([[1.0]], pq.Uniform(8, 0.1))
    for act in (
        array.aligned,
        number_format.ranges,
        lambda: pq.matmul(array, uniform, pq.Accumulator()),
        lambda: pq.matmul(uniform, array, pq.Accumulator(alignment="deferred")),
        lambda: pq.required_bits(number_format, uniform.format, 3),
    ):
        with pytest.raises(ValueError, match="which no shift aligns"):
            act()
    with pytest.raises(ValueError, match="tail_scale must be finite and positive"):
        pq.PWLQ(8, 1.0, 0.0, 1.0)
    with pytest.raises(ValueError, match="bits must be an integer from 2 to 15"):
        pq.PWLQ(16, 1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="NaN or infinite"):
        number_format.encode([np.inf])


def test_a_breakpoint_that_the_data_cannot_be_compared_with() -> None:
    for where in (1e-50, 1e39):
        number_format = pq.PWLQ(4, 0.1, 0.5, where)
        with pytest.raises(ValueError, match=r"breakpoint .* is outside the normal range of float32"):
            number_format.encode(np.zeros(3, np.float32))
        assert number_format.encode(np.zeros(3)).tolist() == [0, 0, 0]
