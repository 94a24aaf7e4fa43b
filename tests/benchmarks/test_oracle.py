"""The oracle of the benchmark against the reference in Python integers."""

from __future__ import annotations

import numpy as np
import pytest

import ptqsim as pq
from benchmarks.products import oracle

ORDERS = [pq.Sequential(), pq.Tree(3), pq.Split(4, 9), pq.Split(4, 9, "wrap"), pq.Split(4, 9, "saturate")]


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_steps_are_those_of_the_reference(overflow: str, order: pq.Sequential | pq.Tree | pq.Split) -> None:
    rng = np.random.default_rng(0)
    accumulator = pq.Accumulator(10, overflow, order)
    a = pq.QuantizedArray(rng.integers(0, 64, (5, 13)), pq.Uniform(6, 1.0))
    b = pq.QuantizedArray(rng.integers(0, 64, (13, 7)), pq.Uniform(6, 1.0))
    expected, statistics = pq.reference.matmul_with_statistics(a, b, accumulator)
    found = oracle.run(a.aligned(), b.aligned(), accumulator)
    assert statistics.events > 0
    assert found.acc.tolist() == expected
    assert (found.clamped, int(found.events.sum())) == (statistics.outputs, statistics.events)
    assert found.prefixes == (statistics.prefixes.lowest, statistics.prefixes.highest)


def test_blocks_of_rows_make_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oracle, "_BLOCK", 20)  # two rows at a time, and one at the end
    rng = np.random.default_rng(1)
    a, b = rng.integers(-90, 90, (3, 5, 16)), rng.integers(-90, 90, (3, 16, 9))
    accumulator = pq.Accumulator(15, "saturate")
    whole, blocks = oracle.run(a, b, accumulator), oracle.run_in_blocks(a, b, accumulator)
    assert 0 < whole.clamped < whole.acc.size
    assert np.array_equal(whole.acc, blocks.acc)
    assert np.array_equal(whole.events, blocks.events)
    assert whole.prefixes == blocks.prefixes


@pytest.mark.parametrize("bits", [2, 9, 31, 60])
def test_the_product_is_reduced_as_python_reduces(bits: int) -> None:
    rng = np.random.default_rng(bits)
    a, b = rng.integers(-(2**20), 2**20, (3, 4)), rng.integers(-(2**20), 2**20, (4, 2))
    half = 1 << (bits - 1)
    for i in range(3):
        for j in range(2):
            total = sum(int(a[i, k]) * int(b[k, j]) for k in range(4))
            assert oracle.product(a, b, bits)[i, j] == (total + half) % (2 * half) - half
