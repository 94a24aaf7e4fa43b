"""The arguments that the reference refuses by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

import ptqsim as pq
from ptqsim import Requantizer
from ptqsim.datapath import reference
from ptqsim.errors import ArgumentTypeError

UNIFORM = pq.Uniform(8, 1.0)
WRONG: Any = "wrong"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: reference.operand(1.5, UNIFORM), "a code must be an integer, got 1.5"),
        (lambda: reference.operand(True, UNIFORM), "a code must be an integer, got True"),
        (lambda: reference.operand(1, WRONG), "number_format must be a NumberFormat, got 'wrong' of type str"),
        (lambda: reference.trace([1], [1], WRONG), "accumulator must be an Accumulator, got 'wrong' of type str"),
        (lambda: reference.dot([1], [1], WRONG), "accumulator must be an Accumulator, got 'wrong' of type str"),
        (lambda: reference.matmul([[1]], [[1]], WRONG), "accumulator must be an Accumulator, got 'wrong' of type str"),
        (
            lambda: reference.matmul_with_statistics([[1]], [[1]], WRONG),
            "accumulator must be an Accumulator, got 'wrong' of type str",
        ),
        (lambda: reference.requantized(1, WRONG), "requantizer must be a Requantizer, got 'wrong' of type str"),
    ],
)
def test_wrong_types(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ArgumentTypeError, match=f"^{re.escape(message)}$"):
        call()


def test_codes_of_small_floats() -> None:
    """E2M1: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives, in halves."""
    magnitudes = [0, 1, 2, 3, 4, 6, 8, 12]
    found = [reference.operand(code, pq.E2M1) for code in range(16)]
    assert found == [reference.Operand(sign * value, 0, 0) for sign in (1, -1) for value in magnitudes]
    with pytest.raises(ValueError, match="Minifloat codes are not integers on one grid"):
        reference.operand(1, pq.Minifloat(7, 2))


@pytest.mark.parametrize("factor", [0.0, -1.0, float("inf"), float("nan")])
def test_a_factor_without_a_multiplier(factor: float) -> None:
    with pytest.raises(ValueError, match=f"^factor must be finite and positive, got {factor}; "):
        Requantizer.of(factor)
