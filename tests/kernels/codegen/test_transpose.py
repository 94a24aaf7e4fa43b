"""A square of words is transposed, and nothing beside it is touched."""

from __future__ import annotations

import numpy as np
import pytest

from ptqsim.kernels.codegen import transpose as _transpose
from ptqsim.kernels.codegen.geometry import ROWS
from ptqsim.kernels.runtime.jit import jit
from ptqsim.kernels.runtime.machine import COMPILED


@jit
def transposed(source: np.ndarray, at: int, step: int, target: np.ndarray, to: int) -> int:
    """By compiled code, if there is any."""
    _transpose.transpose(source, at, step, target, to)
    return 0


@pytest.mark.parametrize("at", [0, 3])
@pytest.mark.parametrize("step", [ROWS, 13])
@pytest.mark.parametrize("to", [0, 5])
def test_a_square_is_transposed(at: int, step: int, to: int, rng: np.random.Generator) -> None:
    source = rng.integers(-(2**31), 2**31, at + ROWS * step, dtype=np.int32)
    square = np.stack([source[at + r * step :][:ROWS] for r in range(ROWS)])
    for function in (transposed, _transpose._transpose_in_numpy):
        target = np.zeros(to + ROWS * ROWS + 1, np.int32)
        function(source, at, step, target, to)
        assert np.array_equal(target[to:-1].reshape(ROWS, ROWS), square.T)
        assert not target[:to].any()
        assert target[-1] == 0
    assert COMPILED is (_transpose.transpose is not _transpose._transpose_in_numpy)
