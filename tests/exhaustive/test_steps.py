"""Every register value meets every product, for registers of up to 12 bits, in every overflow mode.

Depth 2 does it: the first product puts any value into the register, the second is any term, up to two and a half times
the range of the register on either side. Expected values come from a table that is filled from the definition.
"""

from __future__ import annotations

import numpy as np
import pytest

import ptqsim as pq
from ptqsim.datapath import register

slow = pytest.mark.slow
SIXTEEN = pq.Uniform(16, 1.0)
COLUMNS = 4096


def terms(bits: int) -> np.ndarray:
    reach = 5 << (bits - 1)
    return np.arange(-reach, reach + 1)


def table(bits: int, overflow: str) -> tuple[np.ndarray, int]:
    """Content of a register after a sum, by the sum plus an offset: counted off for wrap, looked up for saturate."""
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    sums = np.arange(low + terms(bits)[0], high + terms(bits)[-1] + 1)
    ring = np.arange(low, high + 1)
    if overflow == "wrap":
        # The register goes round: from any sum that fits it counts on, up and down.
        return np.resize(ring, 9 * ring.size)[sums - (low - 4 * ring.size)], -int(sums[0])
    return ring[np.searchsorted(ring, sums).clip(0, ring.size - 1)], -int(sums[0])


@pytest.mark.parametrize("bits", [*range(2, 10), *(pytest.param(bits, marks=slow) for bits in (10, 11, 12))])
@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_every_step_of_the_kernels(bits: int, overflow: str) -> None:
    held = np.arange(-(1 << (bits - 1)), 1 << (bits - 1))
    expected, offset = table(bits, overflow)
    a = pq.quantize(np.stack([held, np.ones_like(held)], axis=1), SIXTEEN)
    for start in range(0, terms(bits).size, COLUMNS):
        added = terms(bits)[start : start + COLUMNS]
        b = pq.quantize(np.stack([np.ones_like(added), added]), SIXTEEN)
        total = held[:, None] + added
        after = expected[total + offset]
        for order in (pq.Sequential(), pq.Tree(1), pq.Split(1, 16)):
            accumulator = pq.Accumulator(bits, overflow, order)
            counted, plain = pq.matmul(a, b, accumulator), pq.matmul(a, b, accumulator, statistics=False)
            assert np.array_equal(counted.acc, after)
            assert np.array_equal(plain.acc, after)
            assert counted.overflow is not None
            assert counted.overflow.events == np.count_nonzero(total != after)


@pytest.mark.parametrize("bits", [*range(2, 9), *(pytest.param(bits, marks=slow) for bits in (9, 10, 11, 12))])
def test_every_step_of_the_reference(bits: int) -> None:
    for overflow in ("wrap", "saturate"):
        expected, offset = table(bits, overflow)
        after = expected.tolist()
        for held in range(-(1 << (bits - 1)), 1 << (bits - 1)):
            for term in terms(bits).tolist():
                assert register.add(held, term, bits, overflow) == after[held + term + offset]
    assert all(register.add(0, term, bits, "trap") == term for term in terms(bits).tolist())


@pytest.mark.parametrize("bits", [*range(2, 8), *(pytest.param(bits, marks=slow) for bits in (8, 9, 10, 11, 12))])
def test_every_trap(bits: int) -> None:
    """For every term: no register that holds the sum traps, and each of those beside them does, where it should."""
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    held = np.arange(low, high + 1)
    accumulator = pq.Accumulator(bits, "trap")
    for term in terms(bits).tolist():
        fits = (low <= held + term) & (held + term <= high)
        b = pq.quantize([[1.0], [term]], SIXTEEN)

        def rows(values: np.ndarray) -> pq.QuantizedArray:
            return pq.quantize(np.stack([values, np.ones_like(values)], axis=1), SIXTEEN)

        if fits.any():
            result = pq.matmul(rows(held[fits]), b, accumulator)
            assert result.acc[:, 0].tolist() == (held[fits] + term).tolist()
        if not fits.all():
            wrong = held[~fits]
            for first in {0, wrong.size - 1, int(np.searchsorted(wrong, -term).clip(0, wrong.size - 1))}:
                with pytest.raises(pq.AccumulatorOverflowError) as caught:
                    pq.matmul(rows(wrong[first : first + 1]), b, accumulator)
                assert (caught.value.element, caught.value.step) == ((0, 0), 1)
