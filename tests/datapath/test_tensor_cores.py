"""Aligned sums beside tensor cores: published experiments on V100, T4 and A100, and a published model of later ones.

The experiments and their results are those of Fasi, Higham, Mikaitis and Pranesh, "Numerical behavior of NVIDIA tensor
cores", PeerJ Computer Science 7:e330, 2021, and of the test programs that belong to it. Numbers of fraction bits, and
the exponent of a product, are those of Xie, Wang, Yang and Yang, "MMA-Sim: Bit-Accurate Reference Model of Tensor Cores
and Matrix Cores", arXiv:2511.10909, 2025. A product here stands for the sum of a block with nothing else in it.
"""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ptqsim as pq
from ptqsim.datapath.blocks import block_reference

V100, A100, H100, H100_FP8 = 23, 24, 25, 13
"""Fraction bits F of the products of binary16 on V100, on T4 and A100, and on H100; and of those of FP8 on H100."""
MEASURED = (V100, A100)
"""Generations that the experiments were made on."""


def power(exponent: int) -> Fraction:
    return Fraction(2) ** exponent


def added(c: Fraction, products: list[Fraction], fraction_bits: int) -> Fraction:
    """One instruction: c is in the register, and all products are added to it at once."""
    register = pq.AlignedFloat32(fraction_bits, max(len(products), 1))
    loaded = [c] + [Fraction(0)] * (register.blocks - 1)
    first, *rest = block_reference.steps(loaded + products, register)
    assert first == c  # the register holds it without a cut
    return Fraction(rest[-1]) if rest else Fraction(first)


ONE, ULP = Fraction(1), power(-23)
EXPERIMENTS = {
    "products beside a larger c, V100": (ONE, [power(-24)] * 4, {V100: ONE}),
    "products beside a larger c, T4 and A100": (ONE, [power(-25)] * 4, {A100: ONE}),
    "toward zero, positive": (Fraction(0), [Fraction(2), 3 * power(-24)], dict.fromkeys(MEASURED, Fraction(2))),
    "toward zero, negative": (Fraction(0), [Fraction(-2), -3 * power(-24)], dict.fromkeys(MEASURED, Fraction(-2))),
    # the last bit of c lies one below those of 1, where V100 has no bit
    "extra bits": (-1 + power(-24), [ONE], {V100: ULP, A100: power(-24)}),
    # a sum that reaches 1 is not aligned anew, and what lies below its last bit still counts
    "no normalization in addition": (1 - power(-24), [power(-24)] * 4, dict.fromkeys(MEASURED, 1 + ULP)),
    "no normalization in subtraction": (-1 + power(-24), [ONE, -power(-24)], {V100: ULP, A100: Fraction(0)}),
    "two bits for carries": (1 + 3 * ULP, [ONE, ONE, ONE, ULP], dict.fromkeys(MEASURED, 4 + power(-21))),
    "three bits for carries": (
        Fraction(15, 8), [ONE, Fraction(3, 2), Fraction(7, 4), Fraction(15, 8)], dict.fromkeys(MEASURED, Fraction(8)),
    ),
    "cut after a carry, positive": (1 + 3 * ULP, [ONE] * 4, dict.fromkeys(MEASURED, Fraction(5))),
    "cut after a carry, negative": (-1 - 3 * ULP, [-ONE] * 4, dict.fromkeys(MEASURED, Fraction(-5))),
    "exact products": (
        Fraction(0), [(1 - power(-11)) ** 2] * 4, dict.fromkeys(MEASURED, 4 * (1 - power(-10) + power(-22))),
    ),
    "subnormal c": (power(-149), [Fraction(0)], dict.fromkeys(MEASURED, power(-149))),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "fraction_bits"), [(name, bits) for name, (_, _, results) in EXPERIMENTS.items() for bits in results]
)
def test_published_experiments(name: str, fraction_bits: int) -> None:
    c, products, results = EXPERIMENTS[name]
    assert added(c, products, fraction_bits) == results[fraction_bits]


@pytest.mark.parametrize(("fraction_bits", "small"), [(V100, power(-24)), (A100, power(-25))])
@pytest.mark.parametrize("place", range(4))
def test_the_place_of_the_largest_product_does_not_matter(place: int, fraction_bits: int, small: Fraction) -> None:
    products = [small] * 4
    products[place] = ONE
    assert added(power(-24), products, fraction_bits) == 1


@pytest.mark.parametrize(
    ("fraction_bits", "products"),
    [(V100, [power(-24)] * 4), (A100, [*[power(-25)] * 3, 3 * power(-25)])],
)
def test_sums_are_not_monotonic(fraction_bits: int, products: list[Fraction]) -> None:
    """A larger c gives a smaller sum: the last of the published experiments."""
    assert added(1 - power(-24), products, fraction_bits) > added(ONE, products, fraction_bits) == 1


def modeled(c: Fraction, factors: list[tuple[Fraction, int]], fraction_bits: int) -> Fraction:
    """The published model, written anew: `factors` are products of significands, and sums of the factors' exponents."""
    terms = [(c / power(exponent), exponent) for exponent in [block_reference.exponent_of(c)] if c]
    terms += factors
    greatest = max(exponent for _, exponent in terms)
    total = sum(int(s * power(fraction_bits + e - greatest)) for s, e in terms)
    return Fraction(block_reference.float32_toward_zero(total * power(greatest - fraction_bits)))


small_products = st.tuples(
    st.sampled_from([sign * Fraction(k, 8) for k in range(8, 16) for sign in (1, -1)]), st.integers(-18, 16)
)
carried = st.integers(-(2**14) + 1, 2**14 - 1).map(lambda n: n if n else 1)


@given(
    c=carried, c_exponent=st.integers(-24, 10), products=st.lists(small_products, min_size=1, max_size=8),
    fraction_bits=st.sampled_from([V100, A100, H100, H100_FP8]),
)  # fmt: skip
def test_the_published_model_where_significands_of_products_are_below_2(
    c: int, c_exponent: int, products: list[tuple[Fraction, int]], fraction_bits: int
) -> None:
    start = c * power(c_exponent)
    values = [significand * power(exponent) for significand, exponent in products]
    assert added(start, values, fraction_bits) == modeled(start, products, fraction_bits)


def test_a_product_of_significands_beyond_2_is_aligned_elsewhere() -> None:
    """1.5 * 1.5 = 2.25 has the exponent 0 in the published model, and 1 here: one bit more of the others is cut."""
    products = [(Fraction(9, 4), 0), (Fraction(-9, 4), 0), (ONE, -24)]
    assert modeled(Fraction(0), products, A100) == power(-24)
    assert added(Fraction(0), [s * power(e) for s, e in products], A100) == 0


def test_fp8_on_h100_cuts_the_result_too() -> None:
    """By the published model a result of FP8 keeps 13 fraction bits: of 1 + 1 + 2**-13 the last one is lost."""
    found = added(Fraction(0), [ONE, ONE, power(-13)], H100_FP8)
    assert found == 2 + power(-13)
    assert int(found / power(1 - H100_FP8)) * power(1 - H100_FP8) == 2
