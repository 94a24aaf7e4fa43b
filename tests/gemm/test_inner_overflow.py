"""Tiles with an overflow mode of their own: what is refused, and pairs of bytes that saturate in 16 bits."""

from __future__ import annotations

import numpy as np
import pytest

import ptqsim as pq
from ptqsim.kernels.runtime import machine
from tests.oracle import stepping

U8, S8 = pq.Uniform(8, 1.0, signed=False), pq.Uniform(8, 1.0)
PAIRS = pq.Accumulator(32, order="split:2:16:saturate")


def test_the_mode_of_tiles_is_that_of_the_register_by_default() -> None:
    for mode in ("wrap", "saturate", "trap"):
        assert pq.Accumulator(20, mode, pq.Split(4, 12)).inner_overflow == mode
        assert pq.Accumulator(20, mode).inner_overflow == mode
    assert pq.Accumulator(20, "wrap", pq.Split(4, 12, "saturate")).inner_overflow == "saturate"
    assert "inner_overflow" not in str(pq.Accumulator(20, "wrap", pq.Split(4, 12)).to_dict())


@pytest.mark.parametrize(("inner", "outer"), [("trap", "wrap"), ("saturate", "trap"), ("wrap", "trap")])
def test_a_trap_in_one_register_alone_is_refused(inner: str, outer: str) -> None:
    with pytest.raises(ValueError, match="where one traps both do; leave inner_overflow out"):
        pq.Accumulator(20, outer, pq.Split(4, 12, inner))
    pq.Accumulator(20, "trap", pq.Split(4, 12, "trap"))


def test_step_by_step() -> None:
    """A saturating tile holds 7 of 12, and a wrapping one -4; the register of 5 bits goes on from there."""
    for inner, outer, held in (("saturate", "wrap", [7, 14]), ("wrap", "saturate", [-4, -8])):
        unit = pq.Accumulator(5, outer, pq.Split(2, 4, inner))
        _, steps = pq.reference.trace([6, 6, 6, 6], [1, 1, 1, 1], unit)
        assert [step.after for step in steps if step.register == "accumulator"] == held
        assert [step.event for step in steps] == [False, True, False, False, True, False]


def test_pairs_of_bytes_with_every_first_factor() -> None:
    """Every first product, beside second ones that bring it to the limits and across them."""
    a = [(x, y) for x in range(256) for y in (0, 1, 127, 128, 254, 255)]
    b = [(x, y) for x in range(-128, 128) for y in (-128, -127, -2, -1, 0, 1, 2, 126, 127)]
    rows, columns = np.array(a), np.array(b).T
    sums = rows @ columns
    expected = np.clip(sums, -(2**15), 2**15 - 1)
    assert np.mean(expected != sums) > 0.02
    left = pq.QuantizedArray(rows.astype(np.uint8), U8)
    right = pq.QuantizedArray(columns.astype(np.int8).view(np.uint8), S8)
    result = pq.matmul(left, right, PAIRS, statistics=False)
    assert np.array_equal(result.acc, expected)
    assert "saturate_pairs_int8" in result.kernel or not machine.PAIRS


@pytest.mark.parametrize("bits", [9, 20, 31, 32])
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 61])
def test_pairs_of_bytes_in_registers_of_every_kind(bits: int, depth: int, rng: np.random.Generator) -> None:
    """Odd depths, batches, registers that wrap; counting gives the same, and its events."""
    a = pq.QuantizedArray(rng.integers(128, 256, (2, 9, depth), dtype=np.uint8), U8)
    b = pq.QuantizedArray(rng.choice([127, 126, 128, 129, 3], (depth, 100)).astype(np.uint8), S8)
    unit = pq.Accumulator(bits, order=PAIRS.order)
    expected = stepping.run(a.aligned(), b.aligned(), unit)
    plain, counted = pq.matmul(a, b, unit, statistics=False), pq.matmul(a, b, unit)
    assert np.array_equal(plain.acc, expected.acc)
    assert np.array_equal(counted.acc, expected.acc)
    assert counted.overflow is not None
    assert counted.overflow.events == expected.events.sum()


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_corrected_zero_points(overflow: str, rng: np.random.Generator) -> None:
    """Tiles see products of codes as they are; the constant is in the register before them."""
    unsigned = pq.Uniform(8, 1.0, signed=False, zero_point=99)
    a = pq.QuantizedArray(rng.integers(0, 256, (5, 21), dtype=np.uint8), unsigned)
    b = pq.QuantizedArray(rng.integers(0, 256, (21, 98), dtype=np.uint8), pq.Uniform(8, 1.0, zero_point=-7))
    inner = "saturate" if overflow == "wrap" else "wrap"
    for bits in (18, 32):
        unit = pq.Accumulator(bits, overflow, pq.Split(2, 16, inner), zero_point="correction")
        plain, counted = pq.matmul(a, b, unit, statistics=False), pq.matmul(a, b, unit)
        assert plain.acc.tolist() == counted.acc.tolist() == pq.reference.matmul(a, b, unit)
        assert counted.overflow == pq.reference.matmul_with_statistics(a, b, unit)[1]


def test_tiles_that_cannot_overflow_are_reduced_once(rng: np.random.Generator) -> None:
    """Two products of 7-bit activations and bytes always fit 16 bits; with 8 bits they may not."""
    b = pq.QuantizedArray(rng.integers(0, 256, (40, 10), dtype=np.uint8), S8)
    for bits, name in ((7, "ring_homomorphism"), (8, "step_by_step")):
        codes = np.full((3, 40), (1 << bits) - 1, np.uint8)
        a = pq.QuantizedArray(codes, pq.Uniform(bits, 1.0, signed=False))
        result = pq.matmul(a, b, pq.Accumulator(18, order=PAIRS.order), statistics=False)
        assert result.certificate.name == name
        assert result.acc.tolist() == pq.reference.matmul(a, b, pq.Accumulator(18, order=PAIRS.order))
    assert "no tile of 2 products leaves" in pq.matmul(
        pq.QuantizedArray(np.full((3, 40), 127, np.uint8), pq.Uniform(7, 1.0, signed=False)), b,
        pq.Accumulator(18, order=PAIRS.order), statistics=False,
    ).certificate.why  # fmt: skip
