"""A library that is asked for overflow and gives something else is marked wrong, with how often."""

from __future__ import annotations

import numpy as np
import pytest

import ptqsim as pq
from benchmarks.products import oracle, overflow_peers
from benchmarks.products.measure import Plan
from benchmarks.products.overflow_peers import EXAMPLE, MAKERS, Integers, Product, judge
from benchmarks.products.shapes import Shape

SMALL = Shape("small", 1, 16, 384, 16)


def verdict(name: str, overflow: str, maker: overflow_peers.Maker) -> overflow_peers.Verdict:
    return judge(name, maker, overflow, Plan(3, 0.0, shapes=(SMALL,), peer_shape=SMALL))


def at_every_step(a: Integers, b: Integers, accumulator: pq.Accumulator) -> Product:
    return lambda: oracle.run(a, b, accumulator).acc


def without_an_overflow_step(a: Integers, b: Integers, accumulator: pq.Accumulator) -> Product:
    return lambda: np.matmul(a, b)


def at_the_end(a: Integers, b: Integers, accumulator: pq.Accumulator) -> Product:
    return lambda: oracle.bounded(np.matmul(a, b), accumulator.bits, str(accumulator.overflow))


def test_the_example_of_three_products() -> None:
    for overflow, right in (("wrap", 15619), ("saturate", 16383)):
        assert oracle.run(*EXAMPLE, pq.Accumulator(15, overflow)).acc.tolist() == [[right]]


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_a_right_one_is_right(overflow: str) -> None:
    found = verdict("right", overflow, at_every_step)
    assert (found.wrong, found.is_wrong) == (0, False)
    assert found.example == found.example_right
    assert found.times > 0


@pytest.mark.parametrize(("overflow", "low_bits_wrong"), [("wrap", False), ("saturate", True)])
def test_one_that_never_overflows_is_wrong(overflow: str, low_bits_wrong: bool) -> None:
    found = verdict("wide", overflow, without_an_overflow_step)
    assert found.is_wrong
    assert 0 < found.wrong < found.outputs == 256
    assert found.example == 48387
    assert (found.wrong_low_bits > 0) == low_bits_wrong


def test_one_that_overflows_once_at_the_end_wraps_right_and_saturates_wrong() -> None:
    assert not verdict("end", "wrap", at_the_end).is_wrong
    found = verdict("end", "saturate", at_the_end)
    assert found.wrong > 0
    assert found.example == found.example_right, "an example that only rises shows nothing"


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_installed_libraries_are_asked_as_documented(name: str) -> None:
    pytest.importorskip(name)
    a, b = np.array([[3, -5], [7, 11]]), np.array([[2, 4], [6, -8]])
    for overflow in ("wrap", "saturate"):  # nothing overflows: an answer that is wrong here is a wrong question
        call = MAKERS[name](a, b, pq.Accumulator(15, overflow))
        assert call().tolist() == np.matmul(a, b).tolist()
        assert call().dtype == np.int64
