"""Every pair of rows and columns of two 2-bit codes, with every zero point, in every register that they can fill."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

import ptqsim as pq

FORMATS = [
    pq.Uniform(2, 1.0, signed=signed, zero_point=zero)
    for signed, zeros in ((True, range(-2, 2)), (False, range(4)))
    for zero in zeros
]
LINES = np.array(list(product(range(4), repeat=2)))


def integers(number_format: pq.Uniform) -> np.ndarray:
    """The integers of the codes of every line, as they are written: 0, 1, 2, 3 or 0, 1, -2, -1."""
    return np.array([0, 1, -2, -1] if number_format.signed else [0, 1, 2, 3])[LINES]


def bounded(total: np.ndarray, bits: int, overflow: str) -> np.ndarray:
    half = 1 << (bits - 1)
    return (total + half) % (2 * half) - half if overflow == "wrap" else np.clip(total, -half, half - 1)


def corrected(a_format: pq.Uniform, b_format: pq.Uniform, bits: int, overflow: str) -> tuple[np.ndarray, np.ndarray]:
    """Content of a register with a correction, and the number of its additions that did not fit."""
    a, b = integers(a_format), integers(b_format).T
    z_a, z_b = a_format.zero_point, b_format.zero_point
    constant, rest = -z_a * b.sum(axis=0) + 2 * z_a * z_b, -z_b * a.sum(axis=1)
    register = np.zeros((len(a), b.shape[1]), int)
    events = np.zeros_like(register)
    for term in (constant[None], a[:, :1] * b[:1], a[:, 1:] * b[1:], rest[:, None]):
        after = bounded(register + term, bits, overflow)
        events += after != register + term
        register = after
    return register, events


@pytest.mark.parametrize("a_format", FORMATS, ids=str)
@pytest.mark.parametrize("b_format", FORMATS, ids=str)
def test_every_product_in_both_datapaths(a_format: pq.Uniform, b_format: pq.Uniform) -> None:
    a, b = pq.QuantizedArray(LINES, a_format), pq.QuantizedArray(LINES.T, b_format)
    exact = (integers(a_format) - a_format.zero_point) @ (integers(b_format).T - b_format.zero_point)
    for bits in range(2, 8):
        for overflow in ("wrap", "saturate"):
            units = [pq.Accumulator(bits, overflow, zero_point=place) for place in ("operand", "correction")]
            operand, correction = (pq.matmul(a, b, unit) for unit in units)
            expected, events = corrected(a_format, b_format, bits, overflow)
            assert np.array_equal(correction.acc, expected)
            assert correction.overflow is not None
            assert correction.overflow.events == events.sum()
            assert np.array_equal(pq.matmul(a, b, units[1], statistics=False).acc, expected)
            if overflow == "wrap":
                assert np.array_equal(operand.acc, bounded(exact, bits, overflow))
                assert np.array_equal(operand.acc, correction.acc)
            clean = operand.overflow is not None and operand.overflow.events == events.sum() == 0
            assert not clean or np.array_equal(operand.acc, correction.acc)


def test_saturating_datapaths_differ() -> None:
    """Of all these products some end otherwise where they are corrected, in registers of 3 to 5 bits."""
    different = 0
    for a_format, b_format in product(FORMATS, FORMATS):
        a, b = pq.QuantizedArray(LINES, a_format), pq.QuantizedArray(LINES.T, b_format)
        results = [
            pq.matmul(a, b, pq.Accumulator(4, "saturate", zero_point=place)).acc for place in ("operand", "correction")
        ]
        different += np.count_nonzero(results[0] != results[1])
    assert different > 0
