"""Fake quantization in one pass is decode(encode(x)), bit for bit, in every format and rounding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import ptqsim as pq
from ptqsim.formats import NumberFormat
from ptqsim.formats.rounding import RoundingMode

bits = st.integers(2, 16)
shifts = st.integers(0, 12)
roundings = st.sampled_from(list(RoundingMode))
scales = st.floats(2.0**-13, 8)  # most are no float32, and some are
formats = st.one_of(
    st.builds(pq.Uniform, bits, scales | st.floats(2.0**-13, 8, width=32), roundings),
    st.builds(pq.TwinSoftmax, bits, shifts, roundings),
    st.builds(lambda b, m: pq.TwinSoftmax(b, m, range_choice="nearest"), bits, shifts),
    st.builds(pq.TwinGELU, bits, shifts, scales, roundings),
    st.builds(lambda b, m, s: pq.TwinGELU(b, m, s, range_choice="nearest"), bits, shifts, scales),
    st.builds(pq.Log2, st.integers(2, 6)),
    st.builds(pq.PWLQ, st.integers(2, 15), scales, scales, scales, roundings),
)
types = st.sampled_from([np.float16, np.float32, np.float64])


def bit_patterns(reals: np.ndarray) -> np.ndarray:
    """As integers, so that -0.0 is not 0.0."""
    return reals.view(np.int32 if reals.dtype == np.float32 else np.int64)


@given(formats, types, st.data())
def test_is_decode_of_encode(fmt: NumberFormat, dtype: type, data: st.DataObject) -> None:
    width = np.dtype(dtype).itemsize * 8
    largest = float(dtype(min(2.0 * float(np.abs(fmt.real_table()).max()), float(np.finfo(dtype).max))))
    drawn = data.draw(arrays.arrays(dtype, st.integers(0, 40), elements=st.floats(-largest, largest, width=width)))
    points = fmt.real_table()[:: max(1, fmt.code_count // 64)].clip(-largest, largest).astype(dtype)
    x = np.concatenate([drawn, points, points[1:] / 2 + points[:-1] / 2, np.array([-0.0, 0.0], dtype)])
    rounded_in = np.float32 if dtype == np.float16 else dtype
    expected = fmt.decode(fmt.encode(x)).astype(rounded_in)
    assert np.array_equal(bit_patterns(fmt.fake_quantize(x)), bit_patterns(expected))
    x = x.astype(rounded_in)
    fmt.fake_quantize(x, out=x)  # in place
    assert np.array_equal(bit_patterns(x), bit_patterns(expected))


@pytest.mark.parametrize("fmt", [pq.Uniform(8, 0.1 / 3), pq.TwinGELU(8, 3, 0.1 / 9), pq.PWLQ(8, 0.01, 0.07, 0.9)])
def test_every_float32_of_an_octave(fmt: NumberFormat) -> None:
    """2**23 values of either sign, as many as float32 has from 1 to 2; a scale that is no float32."""
    x = np.arange(np.float32(1).view(np.int32), np.float32(2).view(np.int32), 7, np.int32).view(np.float32)
    for values in (x, -x, x * np.float32(0.0625)):
        expected = fmt.decode(fmt.encode(values)).astype(np.float32)
        assert np.array_equal(bit_patterns(fmt.fake_quantize(values)), bit_patterns(expected))


@pytest.mark.parametrize(
    "fmt", [pq.Uniform(8, 1.0), pq.TwinSoftmax(8, 3), pq.TwinSoftmax(8, 3, range_choice="nearest")]
)
def test_memory_that_overlaps_is_read_before_it_is_written(fmt: NumberFormat) -> None:
    memory = np.linspace(0, 1, 1001, dtype=np.float32)
    expected = fmt.fake_quantize(memory[:-1].copy())
    assert np.array_equal(fmt.fake_quantize(memory[:-1], out=memory[1:]), expected)


@pytest.mark.parametrize("fmt", [pq.Uniform(8, 1.9e38), pq.TwinGELU(8, 1, 0.95e38), pq.PWLQ(8, 1e37, 1.9e38, 1e37)])
def test_what_is_beyond_float32_is_refused(fmt: NumberFormat) -> None:
    """The largest float32 is 1.8 steps of 1.9e38, and two steps are more."""
    most = float(np.finfo(np.float32).max)
    assert fmt.fake_quantize(np.array([0.6 * most], np.float32)) < most
    with pytest.raises(ValueError, match=r"beyond 3.4e\+38, the largest of float32; give the data as float64"):
        fmt.fake_quantize(np.array([most], np.float32))
    assert fmt.fake_quantize(np.array([most])) > most


@pytest.mark.parametrize("fmt", [pq.Uniform(8, 0.1), pq.TwinGELU(8, 4, 0.01), pq.Log2(4), pq.PWLQ(8, 0.1, 0.5, 1.0)])
def test_an_array_that_does_not_fit_is_refused(fmt: NumberFormat) -> None:
    x = np.ones((2, 3), np.float32)
    for out in (np.empty((3, 2), np.float32), np.empty((3, 2), np.float32).T):
        with pytest.raises(ValueError, match="out must be a C-contiguous array of float32"):
            fmt.fake_quantize(x, out=out)
    for other in (np.empty((2, 3)), [[0.0] * 3] * 2):
        with pytest.raises(TypeError, match="out must be a C-contiguous array of float32"):
            fmt.fake_quantize(x, out=other)  # type: ignore[arg-type]


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="1 of 2 values are NaN or infinite"):
        pq.TwinSoftmax(8, 4).fake_quantize([0.5, np.inf])
    for strange in (np.nan, np.inf):  # in place, where it is overwritten before it can be counted
        x = np.array([0.5, strange], np.float32)
        with pytest.raises(ValueError, match="of 2 values are NaN or infinite"):
            pq.TwinSoftmax(8, 4).fake_quantize(x, out=x)
