"""Plans kept for the next product of the same operands and accumulator: the right one, and not for too long."""

from __future__ import annotations

import gc
import weakref
from itertools import product

import numpy as np
import pytest

import ptqsim as pq
from ptqsim.gemm.operands import operand as operands

TWIN, UNIFORM = pq.TwinGELU(5, 3, 0.1), pq.Uniform(5, 0.1)
ACCUMULATORS = (
    pq.Accumulator(12, "saturate"),
    pq.Accumulator(12, "wrap"),
    pq.Accumulator(12, "saturate", pq.Tree(4)),
    pq.Accumulator(12, "saturate", alignment="deferred"),
    pq.Accumulator(60),
)


def drawn(rng: np.random.Generator, shape: tuple[int, ...], fmt: pq.NumberFormat) -> pq.QuantizedArray:
    return pq.QuantizedArray(rng.integers(0, fmt.code_count, shape), fmt)


def test_every_call_gets_its_own(rng: np.random.Generator) -> None:
    """Operands, accumulators and statistics change in every order; each result is that of the reference."""
    left = [drawn(rng, (3, 20), TWIN), drawn(rng, (2, 3, 20), UNIFORM)]
    right = [drawn(rng, (20, 4), UNIFORM), drawn(rng, (20, 4), UNIFORM), drawn(rng, (20, 7), TWIN)]
    calls = list(product(left, right, ACCUMULATORS, (True, False)))
    for index in rng.permutation(np.repeat(np.arange(len(calls)), 2)):
        a, b, accumulator, statistics = calls[index]
        result = pq.matmul(a, b, accumulator, statistics)
        expected, seen = pq.reference.matmul_with_statistics(a, b, accumulator)
        assert result.acc.tolist() == expected
        assert result.overflow == (seen if statistics else None)


def test_what_does_not_fit_is_refused_after_what_did(rng: np.random.Generator) -> None:
    a, b = drawn(rng, (3, 20), UNIFORM), drawn(rng, (20, 4), UNIFORM)
    pq.matmul(a, b, ACCUMULATORS[0])
    with pytest.raises(ValueError, match="do not fit"):
        pq.matmul(a, drawn(rng, (21, 4), UNIFORM), ACCUMULATORS[0])
    with pytest.raises(TypeError, match="must be an Accumulator"):
        pq.matmul(a, b, 12)  # type: ignore[arg-type]
    for wrong in (b.codes, [1], None, 3, "x", type):
        with pytest.raises(TypeError, match="a must be a QuantizedArray"):
            pq.matmul(wrong, b, ACCUMULATORS[0])  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="b must be a QuantizedArray"):
            pq.matmul(a, wrong, ACCUMULATORS[0])  # type: ignore[arg-type]


def test_nothing_outlives_the_left_operand(rng: np.random.Generator) -> None:
    a, b = drawn(rng, (3, 20), UNIFORM), drawn(rng, (20, 4), UNIFORM)
    pq.matmul(a, b, ACCUMULATORS[0], statistics=False)
    made = [weakref.ref(operands.left(a)), weakref.ref(operands.right(b))]
    gc.disable()  # nothing refers to itself
    try:
        del b
        assert made[1]() is not None  # the product that is kept needs it
        pq.matmul(a, drawn(rng, (20, 4), UNIFORM), ACCUMULATORS[0], statistics=False)
        assert made[1]() is None
        del a
        assert made[0]() is None
    finally:
        gc.enable()
