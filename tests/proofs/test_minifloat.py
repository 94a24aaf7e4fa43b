"""Theorem: dropping low bits of an IEEE word, half to even, rounds to a float of fewer exponent and fraction bits.

That is how the kernel encodes (`ptqsim/kernels/codes/minifloat.py`): with a carry into the exponent, with the codes of
subnormal numbers by rounding to an integer, and with everything beyond the largest number as infinity. The claim is
compared with z3's own theory of floats, for every word of a type that has less bits than float64 but the same layout.
"""

from __future__ import annotations

from typing import Any

import pytest
import z3

from tests.proofs.symbolic import prove, refute

SOURCE_EXPONENT, SOURCE_FRACTION = 8, 23
WIDTH = 1 + SOURCE_EXPONENT + SOURCE_FRACTION


def encoded(word: Any, exponent_bits: int, mantissa_bits: int, even: int = 1) -> Any:
    """The kernel's formula in words of float32; codes beyond the largest number become that of infinity."""
    drop, bias = SOURCE_FRACTION - mantissa_bits, (1 << (exponent_bits - 1)) - 1
    source_bias = (1 << (SOURCE_EXPONENT - 1)) - 1
    base = (source_bias - bias) << mantissa_bits
    infinity = ((1 << exponent_bits) - 1) << mantissa_bits
    magnitude = word & ((1 << (WIDTH - 1)) - 1)
    odd = (z3.LShR(magnitude, drop) - base) & even
    normal = z3.LShR(magnitude + ((1 << (drop - 1)) - 1) + odd, drop) - base
    single = z3.Float32()
    steps = z3.fpMul(z3.RNE(), z3.fpBVToFP(magnitude, single), z3.FPVal(2.0 ** (mantissa_bits - 1 + bias), single))
    small = z3.fpToSBV(z3.RNE(), steps, z3.BitVecSort(WIDTH))
    least = (source_bias + 1 - bias) << SOURCE_FRACTION  # the word of the least normal number
    code = z3.If(z3.UGE(magnitude, least), normal, small)
    code = z3.If(code > infinity, infinity, code)
    return code | z3.If(word < 0, z3.BitVecVal(1 << (exponent_bits + mantissa_bits), WIDTH), z3.BitVecVal(0, WIDTH))


@pytest.mark.parametrize(("exponent_bits", "mantissa_bits"), [(5, 2), (4, 3), (3, 4), (5, 10), (2, 3), (3, 2)])
def test_rounding_is_that_of_ieee_754(exponent_bits: int, mantissa_bits: int) -> None:
    word = z3.BitVec("word", WIDTH)
    real = z3.fpBVToFP(word, z3.Float32())
    target = z3.fpFPToFP(z3.RNE(), real, z3.FPSort(exponent_bits, mantissa_bits + 1))
    code = z3.ZeroExt(WIDTH - 1 - exponent_bits - mantissa_bits, z3.fpToIEEEBV(target))
    given = z3.Not(z3.fpIsNaN(real))
    prove(encoded(word, exponent_bits, mantissa_bits) == code, given)
    refute(encoded(word, exponent_bits, mantissa_bits, even=0) == code, given)
