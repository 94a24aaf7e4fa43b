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
exponents = st.integers(-12, 3)
formats = st.one_of(
    st.builds(lambda b, e, r: pq.Uniform(b, 1.375 * 2.0**e, r), bits, exponents, roundings),
    st.builds(pq.TwinSoftmax, bits, shifts, roundings),
    st.builds(lambda b, m: pq.TwinSoftmax(b, m, range_choice="nearest"), bits, shifts),
    st.builds(lambda b, m, e, r: pq.TwinGELU(b, m, 1.375 * 2.0**e, r), bits, shifts, exponents, roundings),
    st.builds(lambda b, m, e: pq.TwinGELU(b, m, 1.375 * 2.0**e, range_choice="nearest"), bits, shifts, exponents),
    st.builds(pq.Log2, st.integers(2, 6)),
)
types = st.sampled_from([np.float32, np.float64])


def bit_patterns(reals: np.ndarray) -> np.ndarray:
    """As integers, so that -0.0 is not 0.0."""
    return reals.view(np.int32 if reals.dtype == np.float32 else np.int64)


@given(formats, types, st.data())
def test_is_decode_of_encode(fmt: NumberFormat, dtype: type, data: st.DataObject) -> None:
    largest = 2.0 * float(np.abs(fmt.real_table()).max())
    width = 32 if dtype == np.float32 else 64
    drawn = data.draw(arrays.arrays(dtype, st.integers(0, 40), elements=st.floats(-largest, largest, width=width)))
    points = fmt.real_table()[:: max(1, fmt.code_count // 64)].astype(dtype)
    x = np.concatenate([drawn, points, (points[1:] + points[:-1]) / 2, np.array([-0.0, 0.0], dtype)])
    expected = fmt.decode(fmt.encode(x)).astype(dtype)
    assert np.array_equal(bit_patterns(fmt.fake_quantize(x)), bit_patterns(expected))
    fmt.fake_quantize(x, out=x)  # in place
    assert np.array_equal(bit_patterns(x), bit_patterns(expected))


@pytest.mark.parametrize("fmt", [pq.Uniform(8, 0.1), pq.TwinGELU(8, 4, 0.01), pq.Log2(4), pq.PWLQ(8, 0.1, 0.5, 1.0)])
def test_an_array_that_does_not_fit_is_refused(fmt: NumberFormat) -> None:
    x = np.ones((2, 3), np.float32)
    for out in (np.empty((3, 2), np.float32), np.empty((2, 3)), np.empty((3, 2), np.float32).T):
        with pytest.raises(ValueError, match="out must be a C-contiguous array of float32"):
            fmt.fake_quantize(x, out=out)


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="1 of 2 values are NaN or infinite"):
        pq.TwinSoftmax(8, 4).fake_quantize([0.5, np.inf])
