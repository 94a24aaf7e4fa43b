"""Theorem: no input overflows a layer whose weights were fitted, on the reference's own steps.

The weights are constants and every input is any code of its format. z3 is asked for an input with which one of the
additions leaves its register; with the weights as they were before the fit it finds one.
"""

from __future__ import annotations

import numpy as np
import pytest
import z3

import ptqsim as pq
from ptqsim import fitting
from ptqsim.datapath.codes.operand import Operand
from tests.proofs.symbolic import Integer, prove, refute, signed_range

DEPTH, COLUMNS = 24, 3
UNSIGNED = pq.Uniform(8, 1.0, signed=False, zero_point=113)
CASES = [
    (pq.Uniform(8, 1.0), pq.Accumulator(14, "trap")),
    (UNSIGNED, pq.Accumulator(14, "trap", "tree:4")),
    (UNSIGNED, pq.Accumulator(14, "trap", zero_point="correction")),
    (UNSIGNED, pq.Accumulator(15, "trap", "split:8:13", zero_point="correction")),
    (pq.Uniform(4, 1.0, signed=False), pq.Accumulator(10, "trap", "split:6:9")),
]


def claim(
    weights: pq.QuantizedArray, a_format: pq.Uniform, accumulator: pq.Accumulator
) -> tuple[z3.BoolRef, z3.BoolRef]:
    """Every addition of every output fits its register; and the inputs are codes."""
    inputs = z3.Ints(" ".join(f"x_{k}" for k in range(DEPTH)))
    zero_point = a_format.zero_point
    row = [Operand(Integer(x - zero_point), 0, 0, zero_point) for x in inputs]  # type: ignore[arg-type]
    fit = []
    for column in weights.aligned().T.tolist():
        _, done = pq.reference.trace(row, [Operand(w, 0, 0) for w in column], accumulator)
        for step in done:
            low, high = signed_range(step.bits)
            held = (Integer(z3.IntVal(0)) + step.before + step.term).term
            fit.append(z3.And(low <= held, held <= high))
    low, high = a_format.code_range
    return z3.And(*fit), z3.And(*(z3.And(low <= x, x <= high) for x in inputs))


@pytest.mark.parametrize(("a_format", "accumulator"), CASES, ids=lambda one: getattr(one, "kind", str(one)))
@pytest.mark.parametrize("compensated", [False, True])
def test_no_input_overflows(a_format: pq.Uniform, accumulator: pq.Accumulator, compensated: bool) -> None:
    rng = np.random.default_rng(1)
    weights = rng.normal(0, 20, (DEPTH, COLUMNS))
    x = rng.normal(0, 1, (50, DEPTH))
    b_format = pq.Uniform(8, 1.0)
    fitted = fitting.fit_weights(weights, a_format, b_format, accumulator, x.T @ x if compensated else None)
    prove(*claim(fitted, a_format, accumulator))
    refute(*claim(pq.quantize(weights, b_format), a_format, accumulator))
