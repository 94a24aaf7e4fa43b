from __future__ import annotations

import json
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import formats

ROOTS = (1, 2, 4)


def expected_code_of_root(x: float, bits: int, toward_zero: bool, root: int) -> int:
    """The code of x by comparing x**(2 * root) with powers of two, which takes no logarithm and no root.

    -q * log2(x) rounds to more than c if x**(2q) < 2**-(2c+1), and is c + 1 or more if x**(2q) <= 2**-(2c+2).
    """
    zero = (1 << bits) - 1
    if x <= 0:
        return zero
    power, code = Fraction(x) ** (2 * root), 0
    while code < zero and (
        power <= Fraction(1, 2 ** (2 * code + 2)) if toward_zero else power < Fraction(1, 2 ** (2 * code + 1))
    ):
        code += 1
    return code


def expected_code(x: float, bits: int, toward_zero: bool) -> int:
    """From exact comparisons of x and its square with powers of two."""
    zero = (1 << bits) - 1
    if x <= 0:
        return zero
    value, code = Fraction(x), 0
    if value >= 1:
        return 0
    while value < Fraction(1, 2 ** (code + 1)):  # 2**-(code + 1) <= x < 2**-code, and code <= -log2(x) <= code + 1
        code += 1
    if value == Fraction(1, 2 ** (code + 1)) or (not toward_zero and value**2 < Fraction(1, 2 ** (2 * code + 1))):
        code += 1
    return min(code, zero)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("rounding", ["half_even", "half_away", "half_up", "toward_zero"])
def test_encode_equals_exact_comparison(
    bits: int, rounding: str, dtype: type[np.floating], rng: np.random.Generator
) -> None:
    number_format = pq.Log2(bits, rounding)
    powers = 2.0 ** -np.arange(0, min(2**bits + 3, 120))
    middle = powers * np.sqrt(0.5)
    reals = np.concatenate([powers, middle, rng.random(100), [0.0, -0.5, 1.5, 3e38, 1e-45]]).astype(dtype)
    reals = np.concatenate([reals, np.nextafter(reals, dtype(np.inf)), np.nextafter(reals, dtype(-np.inf))])
    reals = reals[np.isfinite(reals)]
    codes = number_format.encode(reals)
    assert codes.dtype == np.uint8
    assert codes.tolist() == [expected_code(float(x), bits, rounding == "toward_zero") for x in reals]


@pytest.mark.parametrize("bits", range(2, 9))
def test_every_code(bits: int) -> None:
    number_format = pq.Log2(bits)
    codes = np.arange(1 << bits)
    reals = number_format.decode(codes)
    assert reals.tolist() == [2.0**-code for code in codes[:-1].tolist()] + [0.0]
    assert np.array_equal(number_format.encode(reals), codes)
    assert (number_format.real_min, number_format.real_max) == (0.0, 1.0)
    if bits <= 5:
        assert number_format.shift_alignable
        assert np.array_equal(number_format.align(codes) * number_format.scale, reals)
        assert number_format.align(codes).tolist() == [
            pq.reference.operand(code, number_format).aligned for code in codes.tolist()
        ]
    else:
        with pytest.raises(ValueError, match="a datapath takes Log2 of up to 5 bits"):
            number_format.align(codes)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bits", [2, 4, 6, 8])
@pytest.mark.parametrize("rounding", ["half_even", "toward_zero"])
@pytest.mark.parametrize("root", ROOTS)
def test_encode_by_any_root(
    root: int, rounding: str, bits: int, dtype: type[np.floating], rng: np.random.Generator
) -> None:
    number_format = pq.Log2(bits, rounding, root)
    halves = np.arange(0, min(2 * 2**bits + 3, 240)) / (2 * root)
    reals = np.concatenate([2.0**-halves, rng.random(50), [0.0, -0.5, 1.5, 3e38, 1e-45]]).astype(dtype)
    reals = np.concatenate([reals, np.nextafter(reals, dtype(np.inf)), np.nextafter(reals, dtype(-np.inf))])
    reals = reals[np.isfinite(reals)]
    expected = [expected_code_of_root(float(x), bits, rounding == "toward_zero", root) for x in reals]
    assert number_format.encode(reals).tolist() == expected


@pytest.mark.parametrize("fraction_bits", range(3, 17))
@pytest.mark.parametrize("root", [2, 4])
def test_fractions_are_the_nearest_and_the_values_within_the_stated_error(root: int, fraction_bits: int) -> None:
    """All by powers: 2**(-r/q) itself is irrational, and to the power q it is 2**-r."""
    number_format = pq.Log2(4, root=root, fraction_bits=fraction_bits)
    one = 1 << fraction_bits
    for r, fraction in enumerate(number_format.fractions):
        assert (
            Fraction(2 * fraction - 1, 2 * one) ** root
            < Fraction(1, 2**r)
            < Fraction(2 * fraction + 1, 2 * one) ** root
        )
        low, high = (Fraction(fraction, one) / (1 + sign * Fraction(1, one)) for sign in (1, -1))
        assert low**root < Fraction(1, 2**r) < high**root  # the value is off by less than 2**-T of 2**(-r/q)
    assert number_format.fractions[0] == one
    table = number_format.aligned_table().tolist()
    assert all(before > after for before, after in pairwise(table))
    assert table[-1] == 0


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("root", [2, 4])
def test_every_code_of_a_root(root: int, bits: int) -> None:
    number_format = pq.Log2(bits, root=root)
    last, codes = (1 << bits) - 1, np.arange(1 << bits)
    # 256, 215.27, 181.02 and 152.22: 2**8 over the fourth roots of 1, 2, 4 and 8
    fractions = {2: (256, 181), 4: (256, 215, 181, 152)}[root]
    expected = [Fraction(fractions[c % root], 2 ** (8 + c // root)) for c in range(last)] + [Fraction(0)]
    assert [Fraction(x) for x in number_format.decode(codes).tolist()] == expected
    assert np.array_equal(number_format.encode(number_format.decode(codes)), codes)
    assert (number_format.real_min, number_format.real_max) == (0.0, 1.0)
    assert number_format.greatest_shift == (2**bits - 2) // root
    if not number_format.shift_alignable:
        assert (2**bits - 2) // root + 9 > 48
        with pytest.raises(ValueError, match="a datapath takes up to 48: lower bits or fraction_bits"):
            number_format.align(codes)
        with pytest.raises(ValueError, match="not integers on one grid"):
            pq.reference.operand(0, number_format)
        return
    assert number_format.aligned_max.bit_length() == number_format.aligned_bits <= 48
    assert [value * Fraction(number_format.scale) for value in number_format.align(codes).tolist()] == expected
    assert number_format.align(codes).tolist() == [
        pq.reference.operand(c, number_format).aligned for c in range(last + 1)
    ]


def test_which_roots_fit_a_datapath() -> None:
    alignable = [(bits, root) for root in ROOTS for bits in range(2, 9) if pq.Log2(bits, root=root).shift_alignable]
    assert alignable == [(bits, 1) for bits in range(2, 6)] + [(bits, 2) for bits in range(2, 7)] + [
        (bits, 4) for bits in range(2, 8)
    ]
    assert pq.Log2(6, root=2, fraction_bits=16).shift_alignable  # 31 + 16 + 1 bits
    assert not pq.Log2(7, root=2, fraction_bits=3).shift_alignable


def test_root_1_is_as_it_was() -> None:
    number_format = pq.Log2(4)
    assert number_format == pq.Log2(4, root=1) == pq.Log2(4, root=1, fraction_bits=0)
    assert number_format.to_dict() == {"kind": "log2", "bits": 4, "rounding": "half_even"}
    assert repr(number_format) == "Log2(bits=4, rounding='half_even')"
    assert number_format.fractions == (1,)
    assert number_format.scale == 2.0**-14
    fine = pq.Log2(4, "toward_zero", 2, 5)
    assert fine.to_dict() == {"kind": "log2", "bits": 4, "rounding": "toward_zero", "root": 2, "fraction_bits": 5}
    assert formats.from_dict(json.loads(json.dumps(fine.to_dict()))) == fine
    assert formats.from_dict(number_format.to_dict()) == number_format


@pytest.mark.parametrize("root", [2, 4])
@pytest.mark.parametrize("other", ["uniform", "log2", "minifloat"])
def test_products_of_roots(root: int, other: str, rng: np.random.Generator) -> None:
    """Products of integers, equal to those of the decoded values, and in narrow registers to the reference."""
    fine = pq.Log2(4, root=root)
    right = {"uniform": pq.Uniform(8, 0.125), "log2": pq.Log2(5, root=2, fraction_bits=5), "minifloat": pq.E4M3}[other]
    a = pq.QuantizedArray(rng.integers(0, 16, (5, 30)), fine)
    codes = np.arange(right.code_count)
    b = pq.QuantizedArray(rng.choice(codes[right.is_number(codes)], (30, 7)), right)
    x, w = ([[Fraction(v) for v in row] for row in each.dequantize().tolist()] for each in (a, b.T))
    unit = Fraction(fine.step) * Fraction(right.step)
    exact = [[sum(p * q for p, q in zip(row, column, strict=True)) / unit for column in w] for row in x]
    assert (a @ b).acc.tolist() == exact
    need = pq.required_bits(fine, right, 30)
    for bits in (need // 2, need - 4, need):
        for overflow in ("wrap", "saturate"):
            accumulator = pq.Accumulator(bits, overflow)
            assert pq.matmul(a, b, accumulator).acc.tolist() == pq.reference.matmul(a, b, accumulator)


def test_products(rng: np.random.Generator) -> None:
    log2, uniform = pq.Log2(4), pq.Uniform(8, 0.1)
    a = pq.QuantizedArray(rng.integers(0, 16, (5, 30)), log2)
    b = pq.QuantizedArray(rng.integers(0, 256, (30, 7)), uniform)
    for bits in (20, 30):
        for overflow in ("wrap", "saturate"):
            accumulator = pq.Accumulator(bits, overflow)
            assert pq.matmul(a, b, accumulator).acc.tolist() == pq.reference.matmul(a, b, accumulator)
    exact = pq.matmul(a, b, pq.Accumulator(40))
    assert np.allclose(exact.real(), a.real() @ b.real(), rtol=1e-12)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="bits must be an integer from 2 to 8"):
        pq.Log2(9)
    with pytest.raises(ValueError, match="root must be 1, 2 or 4, got 3"):
        pq.Log2(4, root=3)
    with pytest.raises(ValueError, match="fraction_bits must be an integer from 3 to 16, got 2"):
        pq.Log2(4, root=2, fraction_bits=2)
    with pytest.raises(ValueError, match="powers of two have no fractions, got fraction_bits=8; leave it out"):
        pq.Log2(4, fraction_bits=8)
    with pytest.raises(ValueError, match="1 of 2 values are NaN"):
        pq.Log2(4).encode([0.5, np.nan])
    with pytest.raises(ValueError, match="not integers on one grid"):
        pq.reference.operand(3, pq.Log2(6))
    assert pq.Log2(4).encode(0.25).tolist() == 2
