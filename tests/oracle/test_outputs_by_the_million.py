"""Outputs by the million, or by the thousand million with `make test-slow`, against the oracle in C.

Values, numbers of events and of outputs with one, the first event, the exact prefix sums and traps are compared. The
cases follow from a seed and a number, and a failure prints both with the smallest product that shows it.
"""

from __future__ import annotations

import os
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from typing import NamedTuple

import numpy as np
import pytest

import ptqsim as pq
from tests.oracle import compiled
from tests.oracle.datapaths import Case, random_case

SEED = 20_260_101
OUTPUTS_OF_A_CASE = 1 << 18

pytestmark = pytest.mark.skipif(compiled.COMPILER is None, reason="no C compiler here")


class Tally(NamedTuple):
    """Counts of a comparison: products, outputs value by value, additions, overflow events, products with an event."""

    cases: int = 0
    outputs: int = 0
    steps: int = 0
    events: int = 0
    overflowing: int = 0

    def __add__(self, other: Tally) -> Tally:  # type: ignore[override]
        return Tally(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def __str__(self) -> str:
        return (
            f"{self.outputs:,} outputs of {self.cases:,} products compared with the oracle in C: {self.steps:,} "
            f"additions, {self.events:,} overflow events in {self.overflowing / max(self.cases, 1):.0%} of the products"
        )


def difference(case: Case, statistics: bool) -> tuple[str | None, Tally]:
    """The difference between simulator and oracle, if there is one."""
    expected = compiled.matmul(*case)
    trapping = case.accumulator.overflow == "trap" and expected.events > 0
    tally = Tally(1, expected.acc.size, expected.steps, expected.events, expected.events > 0)
    try:
        result = pq.matmul(*case, statistics=statistics)
    except pq.AccumulatorOverflowError as error:
        told = ((error.element[0], error.element[1]), error.step)
        right = trapping and told == expected.first
        return None if right else f"trapped at {told}, the oracle at {expected.first}", tally._replace(outputs=0)
    if trapping:
        return f"not trapped, the oracle at {expected.first}", tally
    if not np.array_equal(result.acc, expected.acc):
        element = tuple(np.argwhere(result.acc != expected.acc)[0].tolist())
        return f"{result.acc[element]} at {element}, the oracle {expected.acc[element]} ({result.kernel})", tally
    if result.overflow is not None:
        overflow = result.overflow
        found = (overflow.events, overflow.outputs, overflow.first, tuple(overflow.prefixes))
        wanted = (expected.events, expected.outputs, expected.first, expected.prefixes)
        if found != wanted:
            return f"statistics {found}, the oracle {wanted} ({result.kernel})", tally
    return None, tally


def smallest(case: Case, statistics: bool) -> Case:
    """Rows, columns and depth left out as long as the difference stays."""
    a, b = case.a.codes, case.b.codes

    def made(rows: np.ndarray, columns: np.ndarray) -> Case:
        return Case(pq.QuantizedArray(rows, case.a.format), pq.QuantizedArray(columns, case.b.format), case.accumulator)

    for cut_a, cut_b in ((0, None), (None, 1), (1, 0)):  # the axes of a and of b that lose rows, columns, depth
        piece = max(a.shape[0], b.shape[1], a.shape[1]) // 2
        while piece:
            start = 0
            while start < (b.shape[1] if cut_a is None else a.shape[cut_a]):
                left_out = slice(start, start + piece)
                fewer_a = a if cut_a is None else np.delete(a, left_out, axis=cut_a)
                fewer_b = b if cut_b is None else np.delete(b, left_out, axis=cut_b)
                if fewer_a.size and fewer_b.size and difference(made(fewer_a, fewer_b), statistics)[0]:
                    a, b = fewer_a, fewer_b
                else:
                    start += piece
            piece //= 2
    return made(a, b)


def check(number: int) -> Tally:
    """Compare one case; every other one without statistics."""
    case, statistics = random_case(SEED, number, OUTPUTS_OF_A_CASE), number % 2 == 0
    wrong, tally = difference(case, statistics)
    if wrong:
        least = smallest(case, statistics)
        pytest.fail(
            f"seed {SEED}, case {number}: {wrong}\nthe least that shows it: {difference(least, statistics)[0]}\n"
            f"a = pq.QuantizedArray(np.array({least.a.codes.tolist()}), pq.{least.a.format})\n"
            f"b = pq.QuantizedArray(np.array({least.b.codes.tolist()}), pq.{least.b.format})\n"
            f"pq.matmul(a, b, pq.{least.accumulator}, statistics={statistics})"
        )
    return tally


def compare(outputs: int, capsys: pytest.CaptureFixture[str]) -> Tally:
    """Cases, several at a time, until so many outputs were compared; progress goes to the terminal."""
    before = pq.get_num_threads()
    workers = max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)
    total, began, numbers = Tally(), time.monotonic(), count()
    pq.set_num_threads(1)
    try:
        with ThreadPoolExecutor(workers) as pool:
            while total.outputs < outputs:
                block = [next(numbers) for _ in range(16 * workers)]
                for tally in pool.map(check, block):
                    total += tally
                with capsys.disabled():
                    minutes = (time.monotonic() - began) / 60
                    sys.stdout.write(f"\r{total.outputs / outputs:6.1%} of {outputs:,} outputs, {minutes:.1f} minutes ")
                    sys.stdout.flush()
    finally:
        pq.set_num_threads(before)
    with capsys.disabled():
        sys.stdout.write(f"\n{total}\n")
    return total


@pytest.mark.parametrize(
    "outputs", [4_000_000, pytest.param(1_000_000_000, marks=pytest.mark.slow)], ids=["millions", "thousand_million"]
)
def test_outputs_equal_the_oracle(outputs: int, capsys: pytest.CaptureFixture[str]) -> None:
    total = compare(outputs, capsys)
    assert total.outputs >= outputs
    assert total.overflowing * 5 >= total.cases, "at least one product in five is to overflow"


def test_the_oracle_is_an_oracle(rng: np.random.Generator) -> None:
    """It agrees with the reference, which shares nothing with it."""
    for number in range(300):
        case = random_case(SEED + 1, number, 64)
        found = compiled.matmul(*case)
        going_on = pq.Accumulator(
            case.accumulator.bits, "wrap" if case.accumulator.overflow == "trap" else case.accumulator.overflow,
            case.accumulator.order, case.accumulator.alignment, case.accumulator.zero_point,
        )  # fmt: skip
        if case.accumulator.overflow == "trap" and found.events:
            with pytest.raises(pq.AccumulatorOverflowError) as caught:
                pq.reference.matmul(*case)
            assert (caught.value.element, caught.value.step) == found.first
            continue
        outputs, statistics = pq.reference.matmul_with_statistics(case.a, case.b, going_on)
        assert found.acc.tolist() == outputs
        assert (found.events, found.outputs, found.first) == (statistics.events, statistics.outputs, statistics.first)
        assert found.prefixes == tuple(statistics.prefixes)


def test_a_wrong_register_is_found_and_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulator whose registers are one bit narrower than asked for is caught, with a product of a step or two."""
    right = pq.matmul

    def wrong(a: pq.QuantizedArray, b: pq.QuantizedArray, asked: pq.Accumulator, statistics: bool = True) -> object:
        return right(a, b, replace(asked, bits=max(2, asked.bits - 1)), statistics)

    monkeypatch.setattr(pq, "matmul", wrong)
    monkeypatch.setattr("tests.oracle.test_outputs_by_the_million.OUTPUTS_OF_A_CASE", 4096)
    with pytest.raises(pytest.fail.Exception, match="the least that shows it") as caught:
        list(map(check, range(1, 20)))
    small = re.search(r"a = pq.QuantizedArray\(np.array\((.*?)\), pq", str(caught.value))
    assert small is not None
    assert small[1].count(",") <= 3, "a row of a few products is enough to show it"
