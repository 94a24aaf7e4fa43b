"""Reals of products: units and values that no float holds are refused."""

from __future__ import annotations

import numpy as np
import pytest

import ptqsim as pq


def test_units_that_are_no_float64_make_no_reals() -> None:
    """The product of two scales can be infinite or zero, and zero times infinity is no number; integers stay right."""
    for scale in (1e300, 1e-300):
        one = pq.QuantizedArray(np.array([[0, 3]]), pq.Uniform(8, scale))
        result = pq.matmul(one, one.swapaxes(0, 1), pq.Accumulator(8))
        assert result.acc.tolist() == [[9]]
        for out in (None, np.empty((1, 1), np.float32)):
            with pytest.raises(
                ValueError, match=r"one unit of the product is (inf|0.0), outside the normal range of float64"
            ):
                result.real(out)
            with pytest.raises(ValueError, match="one unit of the product is nan"):
                result.real(out, [np.nan])
        assert result.real(scales=[0.5]).tolist() == [[4.5]]


def test_reals_beyond_float32_are_refused() -> None:
    most = float(np.finfo(np.float32).max)
    one = pq.QuantizedArray(np.array([[0, 3]]), pq.Uniform(8, 1.0))
    result = pq.matmul(one, one.swapaxes(0, 1), pq.Accumulator(8))
    out = np.empty((1, 1), np.float32)
    assert result.real(out, [most / 16]).tolist() == [[float(np.float32(9 * most / 16))]]
    with pytest.raises(ValueError, match=r"some reals are beyond 3.4e\+38, the largest float32; take them as float64"):
        result.real(out, [most / 8])
    assert result.real(scales=[most / 8]).tolist() == [[9 * most / 8]]
