"""Many random datapaths, larger than the reference can do, against stepping in NumPy."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

import ptqsim as pq
from ptqsim.gemm import exact
from tests.oracle import stepping


def number_format(rng: np.random.Generator) -> pq.NumberFormat:
    bits, shift = int(rng.integers(2, 17)), int(rng.integers(0, 16))
    kinds = [
        pq.Uniform(bits, 0.02),
        pq.TwinSoftmax(bits, shift),
        pq.TwinGELU(bits, shift, 0.01),
        pq.Log2(int(rng.integers(2, 6))),
    ]
    return kinds[rng.integers(len(kinds))]


def codes(array_format: pq.NumberFormat, shape: tuple[int, ...], rng: np.random.Generator) -> pq.QuantizedArray:
    """Codes spread evenly, or crowded around zero as those of a network are."""
    if rng.random() < 0.5:
        return pq.QuantizedArray(rng.integers(0, array_format.code_count, shape), array_format)
    by_magnitude = np.argsort(np.abs(array_format.aligned_table()))
    ranks = rng.exponential(by_magnitude.size / rng.uniform(3, 30), shape).astype(int)
    return pq.QuantizedArray(by_magnitude[np.minimum(ranks, by_magnitude.size - 1)], array_format)


def check(seed: int) -> int:
    """Compare one random product with every step of it; the number of outputs."""
    rng = np.random.default_rng(seed)
    a_format, b_format = number_format(rng), number_format(rng)
    rows, depth, columns = (int(rng.integers(1, most)) for most in (80, 200, 260))
    need = pq.required_bits(a_format, b_format, depth)
    if need > 60:
        return 0

    def width() -> int:
        return int(rng.integers(max(2, need - 14), need + 1))

    a = codes(a_format, (rows, depth), rng)
    b = codes(b_format, (depth, columns), rng)
    orders = [pq.Sequential(), pq.Tree(int(rng.integers(1, 33))), pq.Split(int(rng.integers(1, 65)), width())]
    overflow = ("wrap", "saturate")[rng.integers(2)]
    accumulator = pq.Accumulator(width(), overflow, orders[rng.integers(3)])
    expected, events, prefixes = stepping.run(a.aligned(), b.aligned(), accumulator)
    counted, plain = pq.matmul(a, b, accumulator), pq.matmul(a, b, accumulator, statistics=False)
    assert np.array_equal(counted.acc, expected), (seed, counted)
    assert np.array_equal(plain.acc, expected), (seed, plain)
    assert counted.exact == plain.exact == np.array_equal(expected, a.aligned() @ b.aligned())
    overflows = counted.overflow
    assert overflows is not None
    assert (overflows.outputs, overflows.events) == (np.count_nonzero(events), events.sum())
    assert (overflows.prefixes.lowest, overflows.prefixes.highest) == prefixes
    trapping = replace(accumulator, overflow="trap")
    if events.any():
        with pytest.raises(pq.AccumulatorOverflowError):
            pq.matmul(a, b, trapping)
    else:
        assert np.array_equal(pq.matmul(a, b, trapping).acc, expected), seed
    return expected.size


@pytest.mark.parametrize("block", [0, *(pytest.param(block, marks=pytest.mark.slow) for block in range(1, 40))])
def test_random_datapaths(block: int) -> None:
    outputs = sum(check(seed) for seed in range(block * 100, (block + 1) * 100))
    assert outputs > 100_000


def test_products_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each by several threads, however small."""
    monkeypatch.setattr(exact, "_STEPS", 1)
    before = pq.get_num_threads()
    try:
        pq.set_num_threads(2)
        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(check, range(40))) > 10_000
    finally:
        pq.set_num_threads(before)
