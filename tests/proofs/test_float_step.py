"""Theorem: a clamped register may live in a float type, although products and sums may be rounded there.

A type with t significant bits, a register of P <= t bits and an exact product of any size: the clamped register and
the event are those of integer arithmetic, whether the machine rounds product and sum (two roundings) or the sum alone
(fused multiply-add). Three facts about rounding suffice, and rounding to nearest even has them: that is proven for a
model of it on bit-vectors, which is compared with the machine's. z3's own theory of floats says the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import z3

from tests.proofs.symbolic import prove, refute

FLOAT32, FLOAT64 = 24, 53
# Operands of a float32 kernel are within 2**24; of a float64 kernel the exact result has 63 bits at most.
PRODUCT_BITS = {FLOAT32: 49, FLOAT64: 64}


def nearest_even(exact: Any, significant: int) -> Any:
    """The integer in a bit-vector, rounded to so many significant bits, half to even."""
    size = exact.size()
    magnitude = z3.If(exact < 0, -exact, exact)
    rounded = magnitude
    for drop in range(1, size - significant):
        beyond = z3.UGE(magnitude, 1 << (significant + drop - 1))
        rounded = z3.If(beyond, without_low_bits(magnitude, drop), rounded)
    return z3.If(exact < 0, -rounded, rounded)


def without_low_bits(magnitude: Any, drop: int) -> Any:
    """The nearest multiple of 2**drop, half to even."""
    odd = z3.LShR(magnitude, drop) & 1
    return z3.LShR(magnitude + ((1 << (drop - 1)) - 1) + odd, drop) << drop


def clamped(total: Any, low: Any, high: Any) -> Any:
    larger = z3.If(total > low, total, low)
    return z3.If(larger < high, larger, high)


def is_rounding(rounded: Any, exact: Any, last: Any) -> Any:
    """All that the theorem needs to know of rounding: integers up to `last` stay, and greater ones stay beyond it."""
    return z3.And(
        z3.Implies(z3.And(-last <= exact, exact <= last), rounded == exact),
        z3.Implies(exact > last, rounded >= last),
        z3.Implies(exact < -last, rounded <= -last),
    )


@pytest.mark.parametrize("roundings", [1, 2], ids=["fused", "two_roundings"])
def test_saturation_in_floats(roundings: int) -> None:
    """For every float type, every register of half its exact integers or less, and products of any size."""
    register, product, rounded_product, total, last, half = z3.Ints("register product rounded_product total last half")
    low, high = -half, half - 1
    held = z3.And(half >= 1, low <= register, register <= high)
    added = product if roundings == 1 else rounded_product
    rounding = z3.And(
        is_rounding(rounded_product, product, last), is_rounding(total, register + added, last), last >= 1
    )
    exact = register + product
    right = clamped(total, low, high) == clamped(exact, low, high)
    event = (clamped(total, low, high) != total) == z3.Or(exact < low, exact > high)
    prove(z3.And(right, event), held, rounding, 2 * half <= last)
    refute(event, held, rounding, half == 2 * last)
    refute(total == exact, held, rounding, 2 * half <= last)


def test_rounding_to_nearest_even_is_such_a_rounding() -> None:
    exact = z3.BitVec("exact", PRODUCT_BITS[FLOAT32] + 3)
    limit = 1 << (PRODUCT_BITS[FLOAT32] + 1)
    given = z3.And(-limit <= exact, exact <= limit)
    last = z3.BitVecVal(1 << FLOAT32, exact.size())
    prove(is_rounding(nearest_even(exact, FLOAT32), exact, last), given)
    refute(is_rounding(nearest_even(exact, FLOAT32), exact, 2 * last), given)


@pytest.mark.parametrize("significant", [FLOAT32, FLOAT64])
def test_rounding_one_binade_at_a_time(significant: int) -> None:
    """The same for both types: what is dropped from 2**n .. 2**(n+1) - 1 leaves 2**n .. 2**(n+1)."""
    size = PRODUCT_BITS[significant] + 3
    magnitude = z3.BitVec("magnitude", size)
    for drop in range(1, size - significant - 1):
        least = 1 << (significant + drop - 1)
        given = z3.And(z3.UGE(magnitude, least), z3.ULT(magnitude, 2 * least))
        rounded = without_low_bits(magnitude, drop)
        prove(z3.And(z3.UGE(rounded, least), z3.ULE(rounded, 2 * least)), given)
        refute(z3.ULT(rounded, 2 * least), given)


@pytest.mark.parametrize("significant", [FLOAT32, FLOAT64])
def test_integers_up_to_the_last_exact_one_are_not_rounded(significant: int) -> None:
    """Premise of the exact product through BLAS: every partial sum is within 2**t."""
    exact = z3.BitVec("exact", significant + 4)
    last = 1 << significant
    prove(nearest_even(exact, significant) == exact, -last <= exact, exact <= last)
    refute(nearest_even(exact, significant) == exact, -last <= exact, exact <= last + 1)


@pytest.mark.slow
def test_the_fused_step_in_the_theory_of_floats() -> None:
    """IEEE 754 float32 as z3 defines it, in place of the model; for the widest register."""
    register, product = z3.BitVec("register", 24), z3.BitVec("product", 50)
    low, high = -(1 << 23), (1 << 23) - 1
    float32, nearest = z3.Float32(), z3.RNE()
    exact = z3.SignExt(27, register) + z3.SignExt(1, product)
    as_float = [z3.fpSignedToFP(nearest, z3.BitVecVal(limit, 51), float32) for limit in (low, high)]
    total = z3.fpSignedToFP(nearest, exact, float32)  # register + product, rounded once
    larger = z3.If(z3.fpGT(total, as_float[0]), total, as_float[0])
    result = z3.If(z3.fpLT(larger, as_float[1]), larger, as_float[1])
    prove(z3.fpToSBV(nearest, result, z3.BitVecSort(51)) == clamped(exact, low, high))
    refute(z3.fpToSBV(nearest, total, z3.BitVecSort(51)) == exact)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [z3.Float32(), z3.Float64()], ids=["float32", "float64"])
def test_rounding_in_the_theory_of_floats_is_such_a_rounding(kind: Any) -> None:
    """The three facts for IEEE 754 as z3 defines it: with them the theorem above covers two roundings as well."""
    significant = kind.sbits()
    size = PRODUCT_BITS[significant] + 3
    exact = z3.BitVec("exact", size)
    limit = 1 << (PRODUCT_BITS[significant] + 1)
    rounded = z3.fpToSBV(z3.RNE(), z3.fpSignedToFP(z3.RNE(), exact, kind), z3.BitVecSort(size))
    last = z3.BitVecVal(1 << significant, size)
    prove(is_rounding(rounded, exact, last), -limit <= exact, exact <= limit)
    refute(is_rounding(rounded, exact, 2 * last), -limit <= exact, exact <= limit)


def test_the_model_of_rounding_is_that_of_the_machine() -> None:
    rng = np.random.default_rng(0)
    values = [int(v) for v in rng.integers(-(2**51), 2**51, 60)] + [(2**24 + 1) << s for s in range(20)] + [2**25 + 3]
    for exact in values:
        modeled = z3.simplify(nearest_even(z3.BitVecVal(exact, 54), FLOAT32)).as_signed_long()
        assert modeled == int(np.float32(exact)), exact


@pytest.mark.parametrize("significant", [4, 5, 6])
def test_every_register_and_product_of_a_small_float(significant: int) -> None:
    """All operands within 2**t, all registers, all widths up to t, enumerated in NumPy: no solver and no bit-vector."""
    last = 1 << significant
    operands = np.arange(-last, last + 1)
    products = np.unique(np.multiply.outer(operands, operands))

    def rounded(exact: np.ndarray) -> np.ndarray:
        _, exponent = np.frexp(np.abs(exact).astype(float))
        unit = np.ldexp(1.0, np.maximum(exponent - significant, 0))
        return (np.rint(exact / unit) * unit).astype(int)

    for bits in range(2, significant + 1):
        low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        register = np.arange(low, high + 1)[:, None]
        exact = register + products
        for total in (rounded(exact), rounded(register + rounded(products))):
            assert np.array_equal(np.clip(total, low, high), np.clip(exact, low, high))
            assert np.array_equal(np.clip(total, low, high) != total, (exact < low) | (exact > high))
    low, high = -(1 << significant + 1), (1 << significant + 1) - 1
    exact = np.arange(low, high + 1)[:, None] + products
    assert not np.array_equal(np.clip(rounded(exact), low, high), np.clip(exact, low, high))
