"""Corrected zero points where a constant decides: the certificate that has to count it, and the observed width."""

from __future__ import annotations

import numpy as np
import pytest

import ptqsim as pq

U8 = pq.Uniform(8, 1.0, signed=False, zero_point=100)
S8 = pq.Uniform(8, 1.0)


@pytest.mark.parametrize("overflow", ["saturate", "wrap"])
def test_a_certificate_counts_the_constant(overflow: str) -> None:
    """Every a is 0, so that no aligned sum leaves two bits; the register goes to -8000 and comes back to 0."""
    a = pq.QuantizedArray(np.full((3, 8), 100), U8)
    b = pq.QuantizedArray(np.full((8, 2), 10), S8)
    for bits, events in ((14, 0), (13, 6)):
        unit = pq.Accumulator(bits, overflow, zero_point="correction")
        result = pq.matmul(a, b, unit)
        assert result.acc.tolist() == pq.reference.matmul(a, b, unit)
        assert result.overflow is not None
        assert (result.overflow.outputs > 0) == (events > 0)
        assert result.overflow.first == (((0, 0), -1) if events else None)
        assert result.certificate.certified == 0
    wide = pq.matmul(a, b, pq.Accumulator(15, overflow, zero_point="correction"))
    assert (wide.certificate.name, wide.exact) == ("norms", True)


@pytest.mark.parametrize("order", ["sequential", "tree:3", "split:3:20"])
def test_the_constant_is_among_the_prefixes(order: str) -> None:
    """Eight rows, which fill a strip: the constants of 800 and -800 are the extremes, as the products lead back."""
    a = pq.QuantizedArray(np.full((8, 8), 90), U8)
    b = pq.QuantizedArray(np.tile([255, 1], (8, 1)), S8)
    unit = pq.Accumulator(20, order=order, zero_point="correction")
    overflow = pq.matmul(a, b, unit).overflow
    assert overflow is not None
    assert (overflow.prefixes.lowest, overflow.prefixes.highest) == (-800, 800)
    assert overflow == pq.reference.matmul_with_statistics(a, b, unit)[1]
