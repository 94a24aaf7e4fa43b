"""Single additions: every register value against every term, in plain integers."""

from __future__ import annotations

import numpy as np
import pytest

import ptqsim as pq
from ptqsim.datapath.register import add, fits, plain, saturate, wrap
from ptqsim.datapath.spec import bits_for


@pytest.mark.parametrize("bits", range(2, 7))
def test_every_step(bits: int) -> None:
    values = range(-(1 << (bits - 1)), 1 << (bits - 1))
    modulus = 1 << bits
    for register in values:
        for term in range(-3 * modulus, 3 * modulus + 1):
            total = register + term
            wrapped = add(register, term, bits, "wrap")
            assert wrapped in values
            assert (wrapped - total) % modulus == 0
            assert add(register, term, bits, "saturate") == min(values, key=lambda value: abs(value - total))
            assert add(register, term, bits, "trap") == total
            assert fits(total, bits) == (total in values)


def test_product_is_not_clamped_before_it_is_added() -> None:
    # 3 x (127 * 127) with P = 15 is 48387: it wraps to 15619 and saturates at 16383.
    number_format = pq.Uniform(8, 1.0)
    a = pq.quantize([[127.0] * 3], number_format)
    b = pq.quantize([[127.0]] * 3, number_format)
    for overflow, expected in (("wrap", 15619), ("saturate", 16383)):
        accumulator = pq.Accumulator(15, overflow)
        assert pq.reference.matmul(a, b, accumulator) == [[expected]]
        assert pq.matmul(a, b, accumulator).acc.tolist() == [[expected]]
    # 2**13 - 100 - 2**13: the product alone is above the 12-bit register, the sum is not.
    steps = [(2000, 1), (-60, 64)]
    assert pq.reference.dot(*zip(*steps, strict=True), pq.Accumulator(12, "saturate")) == 2000 - 3840


@pytest.mark.parametrize("bits", range(2, 9))
def test_bits_for_is_the_least_width(bits: int) -> None:
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    assert bits_for(low, high) == bits_for(low, 0) == bits_for(0, high) == bits
    assert bits_for(low - 1, high) == bits_for(low, high + 1) == bits + 1


def test_wrap_and_saturate_leave_what_fits() -> None:
    for value in range(-128, 128):
        assert wrap(value, 8) == saturate(value, 8) == value


def test_only_integers_of_numpy_are_converted() -> None:
    """Proofs run the reference on unknown integers, which are none of Python's and have to stay what they are."""
    assert type(plain(np.int8(-3))) is int
    assert plain(np.int8(-3)) == -3
    unknown = True  # which int() would change
    assert plain(unknown) is unknown
