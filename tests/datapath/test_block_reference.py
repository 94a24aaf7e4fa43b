"""Products of blocks: exact where nothing is cut, NumPy's float32, and registers by arithmetic written out."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ptqsim as pq
from ptqsim.datapath.blocks import block_reference
from ptqsim.datapath.blocks.registers import parse_register, register_from_dict, register_to_dict

FORMATS = ("MXINT8", "MXFP8", "MXFP8_E5M2", "MXFP6", "MXFP6_E3M2", "MXFP4")


def operands(a_name: str, b_name: str, depth: int, rng: np.random.Generator) -> tuple[pq.BlockArray, pq.BlockArray]:
    a = rng.normal(size=(3, depth)) * 2.0 ** rng.integers(-4, 4, (1, depth))
    b = rng.normal(size=(depth, 2)) * 2.0 ** rng.integers(-4, 4, (depth, 1))
    return pq.quantize_blocks(a, getattr(pq, a_name)), pq.quantize_blocks(b, getattr(pq, b_name), axis=0)


def values_of_blocks(a: pq.BlockArray, b: pq.BlockArray) -> list[list[list[Fraction]]]:
    """The products of each pair of blocks, from the decoded reals alone; the scales of tensors are 1 here."""
    x, w, size = a.dequantize().tolist(), b.dequantize().T.tolist(), a.format.block
    return [
        [
            [
                sum(
                    (Fraction(p) * Fraction(q) for p, q in zip(row[s : s + size], column[s : s + size], strict=True)),
                    Fraction(0),
                )
                for s in range(0, a.depth, size)
            ]
            for column in w
        ]
        for row in x
    ]


@pytest.mark.parametrize("a_name", FORMATS)
@pytest.mark.parametrize("b_name", FORMATS)
def test_nothing_is_lost_in_a_wide_register(a_name: str, b_name: str, rng: np.random.Generator) -> None:
    a, b = operands(a_name, b_name, 70, rng)
    values = values_of_blocks(a, b)
    exact = [[sum(each, Fraction(0)) for each in row] for row in values]
    # The weight of the least bit of any product, so that no rounding is left.
    least = min(int(array.scales.min()) - 127 + int(math.log2(array.format.element.step)) for array in (a, b))
    weight = 2 * least - 8
    for rounding in ("cut", "half_even"):
        found = block_reference.matmul(a, b, pq.FixedPoint(63, weight, "wrap", rounding))
        scaled = [[value / Fraction(2) ** weight for value in row] for row in exact]
        assert [[(value + 2**62) % 2**63 - 2**62 for value in row] for row in scaled] == found


@pytest.mark.parametrize("names", [("MXFP8", "MXFP8"), ("MXINT8", "MXFP4"), ("MXFP8_E5M2", "MXFP6")])
def test_float32_is_that_of_numpy(names: tuple[str, str], rng: np.random.Generator) -> None:
    a, b = operands(*names, 200, rng)
    found = block_reference.matmul(a, b, pq.Float32())
    for row, line in zip(values_of_blocks(a, b), found, strict=True):
        for each, value in zip(row, line, strict=True):
            total = np.float32(0)
            for term in each:
                assert Fraction(float(term)) == term  # a float64 holds the value of these blocks
                total = np.float32(total + np.float32(float(term)))
            assert value == float(total)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_rounding_to_float32(value: float) -> None:
    with np.errstate(over="ignore", under="ignore"):
        expected = float(np.float32(value))
    assert block_reference.float32(Fraction(value)) == expected


def test_rounding_to_float32_at_ties_and_ends() -> None:
    largest = (2 - Fraction(1, 2**23)) * 2**127
    points = [
        1 + Fraction(1, 2**24), 1 + Fraction(3, 2**24), Fraction(1, 2**149), Fraction(1, 2**150), Fraction(3, 2**150),
        largest, largest + 2**102, largest + 2**103, Fraction(1, 2**126) - Fraction(1, 2**150),
    ]  # fmt: skip
    expected = [1.0, 1 + 2.0**-22, 2.0**-149, 0.0, 2.0**-148, float(largest), float(largest), math.inf, 2.0**-126]
    assert [block_reference.float32(point) for point in points] == expected
    assert [block_reference.float32(-point) for point in points] == [-x for x in expected]


def blocks_of(values: list[list[int]], scales: list[int], axis: int) -> pq.BlockArray:
    """One line of integers, in steps of MXINT8's elements."""
    return pq.BlockArray(np.array([values]) % 256, [scales], pq.Block(pq.Uniform(8, 2.0**-6), 2), 2 * len(values), axis)


def test_registers_by_hand() -> None:
    """Elements in 1/64, so that products of ones count 2**-12; the least bit of the register weighs 2**-10.

    The blocks' sums are 5, -7 and 100 * 2 in units of 2**-12 times 2**1, 2**0 and 2**-1: in units of 2**-10 they are
    2.5, -1.75 and 25.
    """
    a = blocks_of([[1, 4], [7, 0], [100, 0]], [128, 127, 127], -1)
    b = blocks_of([[1, 1], [-1, 3], [2, 5]], [127, 127, 126], -2)
    assert values_of_blocks(a, b) == [[[Fraction(v) / 2**12 for v in (10, -7, 100)]]]

    def run(*arguments: Any) -> int:
        (((value,),),) = [block_reference.matmul(a, b, pq.FixedPoint(*arguments))]
        return value

    assert run(32, -10, "wrap", "cut") == 2 - 2 + 25  # floors
    assert run(32, -10, "wrap", "half_even") == 2 - 2 + 25  # 2.5 to 2, -1.75 to -2
    assert run(32, -12) == 103
    assert run(32, -13) == 206
    assert run(5, -10, "wrap") == 25 - 32
    assert run(5, -10, "saturate") == 15
    assert run(6, -10, "saturate") == 25
    assert run(3, -10, "saturate") == 3
    with pytest.raises(pq.AccumulatorOverflowError) as raised:
        run(5, -10, "trap")
    error = raised.value
    assert (error.element, error.step, error.register, error.bits, error.bits_needed) == (
        (0, 0),
        2,
        "accumulator",
        5,
        6,
    )
    assert block_reference.matmul(a, b, pq.Float32()) == [[103 / 2**12]]


def test_a_trap_tells_the_width_of_the_widest_prefix() -> None:
    """Sums of 1, -4, -9 and -17: the third leaves 4 bits, -8 .. 7, and the last needs 6."""
    a = blocks_of([[1, 0]] * 4, [127] * 4, -1)
    b = blocks_of([[1, 0], [-5, 0], [-5, 0], [-8, 0]], [127] * 4, -2)
    with pytest.raises(pq.AccumulatorOverflowError) as raised:
        block_reference.matmul(a, b, pq.FixedPoint(4, -12, "trap"))
    assert (raised.value.step, raised.value.bits_needed) == (2, 6)
    mirrored = blocks_of([[-1, 0], [5, 0], [5, 0], [8, 0]], [127] * 4, -2)
    with pytest.raises(pq.AccumulatorOverflowError) as raised:
        block_reference.matmul(a, mirrored, pq.FixedPoint(4, -12, "trap"))
    assert (raised.value.step, raised.value.bits_needed) == (2, 6)
    assert block_reference.matmul(a, b, pq.FixedPoint(6, -12, "trap")) == [[-17]]


def test_half_even_goes_both_ways() -> None:
    a = blocks_of([[1, 0]], [127], -1)
    for element, expected in ((1, 0), (2, 0), (3, 1), (5, 1), (6, 2), (-2, 0), (-3, -1), (-6, -2)):
        b = blocks_of([[element, 0]], [127], -2)
        assert block_reference.matmul(a, b, pq.FixedPoint(8, -10, "wrap", "half_even")) == [[expected]]
        assert block_reference.matmul(a, b, pq.FixedPoint(8, -10)) == [[element // 4]]


def test_scales_of_nvfp4_multiply(rng: np.random.Generator) -> None:
    """The tensors' scales are left to the caller; E4M3 scales of blocks are part of the values."""
    x, w = rng.normal(size=(2, 40)), rng.normal(size=(40, 3))
    a, b = pq.quantize_blocks(x, pq.NVFP4.covering(x)), pq.quantize_blocks(w, pq.NVFP4.covering(w), axis=0)
    unscaled = [pq.BlockArray(array.codes, array.scales, pq.NVFP4, array.depth, array.axis) for array in (a, b)]
    exact = [[sum(each, Fraction(0)) for each in row] for row in values_of_blocks(*unscaled)]
    weight = -2 - 18  # two elements' steps of 1/2 and two scales' steps of 2**-9
    found = block_reference.matmul(a, b, pq.FixedPoint(63, weight))
    assert [[value * Fraction(2) ** weight for value in row] for row in found] == exact
    assert found == block_reference.matmul(*unscaled, pq.FixedPoint(63, weight))


def test_infinity_of_float32() -> None:
    big = pq.BlockArray(np.full((1, 2, 32), 64), [[254, 254]], pq.MXINT8, 64)
    other = pq.BlockArray(np.full((1, 2, 32), 64), [[200, 200]], pq.MXINT8, 64, -2)
    assert block_reference.matmul(big, other, pq.Float32()) == [[math.inf]]
    signs = np.array([[[64] * 32, [192] * 32]])
    cancels = pq.BlockArray(signs, [[200, 200]], pq.MXINT8, 64, -2)
    assert math.isnan(block_reference.matmul(big, cancels, pq.Float32())[0][0])


def test_what_is_refused() -> None:
    a = pq.quantize_blocks(np.ones((2, 64)), pq.MXFP8)
    b = pq.quantize_blocks(np.ones((64, 3)), pq.MXFP8, axis=0)
    wide = pq.FixedPoint(40, -20)
    with pytest.raises(ValueError, match=r"a must be a matrix with blocks along its last axis, got the shape .64, 3."):
        block_reference.matmul(b, b, wide)
    with pytest.raises(ValueError, match="b must be a matrix with blocks along its first axis"):
        block_reference.matmul(a, a, wide)
    with pytest.raises(ValueError, match="do not fit; the depth"):
        block_reference.matmul(a, pq.quantize_blocks(np.ones((32, 3)), pq.MXFP8, axis=0), wide)
    with pytest.raises(ValueError, match="do not fit; the depth"):
        block_reference.matmul(a, pq.quantize_blocks(np.ones((64, 3)), pq.NVFP4, axis=0), wide)
    with pytest.raises(TypeError, match="a must be a BlockArray"):
        block_reference.matmul(pq.quantize([[1.0]], pq.E4M3), b, wide)
    with pytest.raises(TypeError, match="register must be a FixedPoint, Float32 or AlignedFloat32"):
        block_reference.matmul(a, b, pq.Accumulator(32))
    codes, scales = a.codes.copy(), a.scales.copy()
    codes[1, 0, 3], scales[1, 1] = 0x7F, 255
    with pytest.raises(ValueError, match=r"1 of 128 elements of a is infinity or NaN in E4M3fn, .* at index .1, 0, 3."):
        block_reference.matmul(pq.BlockArray(codes, a.scales, pq.MXFP8, 64), b, wide)
    with pytest.raises(ValueError, match=r"1 of 4 scales of a are NaN, the first at index .1, 1."):
        block_reference.matmul(pq.BlockArray(a.codes, scales, pq.MXFP8, 64), b, wide)
    for arguments, words in (
        ((1, 0), "bits"),
        ((64, 0), "bits"),
        ((8, 1025), "weight"),
        ((8, 0, "clip"), "overflow mode"),
    ):
        with pytest.raises(ValueError, match=words):
            pq.FixedPoint(*arguments)
    with pytest.raises(ValueError, match="unknown rounding 'floor'; legal are 'cut', 'half_even'"):
        pq.FixedPoint(8, 0, "wrap", "floor")


def test_float32_toward_zero_is_next_to_the_nearest(rng: np.random.Generator) -> None:
    for value in [*rng.normal(size=200), 1 + 2.0**-24, 2.0**-149 * 1.75, -(2.0**-150), 3.5e38, -1e300, 2.0**-126]:
        nearest = np.float32(value) if abs(value) < 3e38 else np.float32(np.copysign(np.inf, value))
        # Where the nearest is beyond the value, the one before it is meant.
        expected = nearest if abs(float(nearest)) <= abs(value) else np.nextafter(nearest, np.float32(0))
        assert block_reference.float32_toward_zero(Fraction(float(value))) == float(expected)
    assert block_reference.float32_toward_zero(Fraction(0)) == 0.0
    exponents = {Fraction(1, 3): -2, Fraction(2, 3): -1, Fraction(-3): 1, Fraction(4): 2, Fraction(7, 2): 1}
    assert {value: block_reference.exponent_of(value) for value in exponents} == exponents


@given(st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=6), st.integers(1, 45))
def test_aligned_sum_by_shifts(terms: list[int], fraction_bits: int) -> None:
    """In integers: magnitudes lose the bits below F of the longest."""
    drop = max(max(abs(term).bit_length() for term in terms) - 1 - fraction_bits, 0)
    expected = sum((abs(term) >> drop << drop) * (1 if term > 0 else -1) for term in terms)
    assert block_reference.aligned_sum([Fraction(term) for term in terms], fraction_bits) == expected
    halves = block_reference.aligned_sum([Fraction(term, 2**50) for term in terms], fraction_bits)
    assert halves == Fraction(expected, 2**50)


def test_aligned_registers_by_hand() -> None:
    """Blocks of 64, -3 and 5, in units of 2**-12.

    With F = 5 and all three at once, multiples of 64 / 32 = 2 are kept: 64 - 2 + 4 = 66. One by one it is 64, then
    64 - 2 = 62, whose exponent is lower: multiples of 1, and 62 + 5 = 67. With F = 3 it is 64 + 0 + 0, one by one as
    well.
    """
    a = blocks_of([[8, 0], [1, 0], [1, 0]], [127] * 3, -1)
    b = blocks_of([[8, 0], [-3, 0], [5, 0]], [127] * 3, -2)

    def run(*arguments: int) -> float:
        return block_reference.matmul(a, b, pq.AlignedFloat32(*arguments))[0][0] * 2**12

    assert (run(5, 3), run(5), run(5, 2)) == (66, 67, 67)
    assert (run(3, 3), run(3), run(6, 3), run(64, 7)) == (64, 64, 66, 66)


def test_many_fraction_bits_leave_one_rounding(rng: np.random.Generator) -> None:
    a, b = operands("MXFP8", "MXFP6", 200, rng)
    found = block_reference.matmul(a, b, pq.AlignedFloat32(64, 7))
    for row, line in zip(values_of_blocks(a, b), found, strict=True):
        assert line == [block_reference.float32_toward_zero(sum(each, Fraction(0))) for each in row]
    narrow = block_reference.matmul(a, b, pq.AlignedFloat32(6, 7))
    backward = [pq.BlockArray(x.codes[:, order], x.scales[:, order], x.format, 224, x.axis)
                for x, order in ((a, slice(None, None, -1)), (b, slice(None, None, -1)))]  # fmt: skip
    assert block_reference.matmul(*backward, pq.AlignedFloat32(6, 7)) == narrow
    assert narrow != found


def test_aligned_registers_that_are_refused() -> None:
    for arguments, words in (
        ((0,), "fraction_bits"),
        ((65,), "fraction_bits"),
        ((8, 0), "blocks"),
        ((8, 1025), "blocks"),
    ):
        with pytest.raises(ValueError, match=words):
            pq.AlignedFloat32(*arguments)


REGISTERS = (
    pq.Float32(), pq.FixedPoint(20, -7), pq.FixedPoint(63, 4, "trap", "half_even"), pq.AlignedFloat32(5),
    pq.AlignedFloat32(9, 4),
)  # fmt: skip


@pytest.mark.parametrize("register", REGISTERS, ids=str)
def test_registers_as_text_and_as_data(register: pq.FixedPoint | pq.Float32 | pq.AlignedFloat32) -> None:
    assert parse_register(str(register)) == register
    assert register_from_dict(register_to_dict(register)) == register


def test_texts_and_data_of_no_register() -> None:
    assert parse_register("fixed:8:-3") == pq.FixedPoint(8, -3)
    assert parse_register("aligned:7") == pq.AlignedFloat32(7)
    for text in ("", "fixed", "fixed:8", "fixed:a:b", "float32:3", "aligned", "float64", "fixed:8:-3:wrap:cut:1"):
        with pytest.raises(ValueError, match="can't be read; legal are float32, fixed:"):
            parse_register(text)
    with pytest.raises(ValueError, match="bits must be"):
        parse_register("fixed:80:-3")
    with pytest.raises(ValueError, match="unknown overflow mode 'clamp'"):
        parse_register("fixed:8:-3:clamp")
    with pytest.raises(ValueError, match="unknown register 'fixd'"):
        register_from_dict({"kind": "fixd"})
    with pytest.raises(ValueError, match="cannot make a register"):
        register_from_dict({"kind": "float32", "bits": 3})
