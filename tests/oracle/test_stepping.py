"""The oracle in NumPy against the reference in Python integers."""

from __future__ import annotations

import numpy as np
import pytest

import ptqsim as pq
from tests.oracle import stepping

ORDERS = [pq.Sequential(), pq.Tree(3), pq.Split(4, 9), pq.Split(4, 9, "wrap"), pq.Split(4, 9, "saturate")]


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_steps_are_those_of_the_reference(
    overflow: str, order: pq.Sequential | pq.Tree | pq.Split, rng: np.random.Generator
) -> None:
    accumulator = pq.Accumulator(10, overflow, order)
    a = pq.QuantizedArray(rng.integers(0, 64, (5, 13)), pq.Uniform(6, 1.0))
    b = pq.QuantizedArray(rng.integers(0, 64, (13, 7)), pq.Uniform(6, 1.0))
    expected, statistics = pq.reference.matmul_with_statistics(a, b, accumulator)
    found = stepping.run(a.aligned(), b.aligned(), accumulator)
    assert statistics.events > 0
    assert found.acc.tolist() == expected
    assert (np.count_nonzero(found.events), int(found.events.sum())) == (statistics.outputs, statistics.events)
    assert found.prefixes == (statistics.prefixes.lowest, statistics.prefixes.highest)


def test_every_total_in_a_register_of_3_bits() -> None:
    totals = np.arange(-9, 9)
    assert stepping.bounded(totals, 3, "saturate").tolist() == [min(max(t, -4), 3) for t in range(-9, 9)]
    assert stepping.bounded(totals, 3, "wrap").tolist() == [(t + 4) % 8 - 4 for t in range(-9, 9)]
