"""Products of blocks: every kernel against the reference, rational arithmetic and NumPy's float32."""

from __future__ import annotations

import pickle
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ptqsim as pq
from tests.gemm.block_products.blocks_drawn import ELEMENTS, NAMES, REGISTERS, WIDE, check, drawn, natural


@pytest.mark.parametrize(("a_name", "b_name"), [
    ("MXFP8", "MXFP8"), ("MXINT8", "MXFP4"), ("MXFP6_E3M2", "MXFP6"), ("NVFP4", "NVFP4"), ("MXFP8_E5M2", "MXFP8"),
])  # fmt: skip
def test_registers_equal_the_reference(a_name: str, b_name: str, rng: np.random.Generator) -> None:
    a, b = natural(a_name, (2, 70), -1, rng), natural(b_name, (70, 3), 0, rng)
    if a_name == "NVFP4":  # without scales of tensors, which shift all that follows
        a, b = (pq.BlockArray(x.codes, x.scales, pq.NVFP4, x.depth, x.axis) for x in (a, b))
    for register in REGISTERS:
        check(a, b, register)


def test_sums_of_more_than_one_word(rng: np.random.Generator) -> None:
    """Products of E5M2 take 64 bits with their sign, and a sum of four 66."""
    a, b = drawn(WIDE, (3, 11), -1, rng, (120, 134)), drawn(WIDE, (11, 2), -2, rng, (120, 134))
    for register in (pq.Float32(), pq.AlignedFloat32(20, 2), pq.FixedPoint(40, 0, "saturate"), pq.FixedPoint(33, -3)):
        assert check(a, b, register) is not None


FIXED = st.builds(
    pq.FixedPoint, st.integers(2, 63), st.integers(-60, 40), st.sampled_from(["wrap", "saturate", "trap"]),
    st.sampled_from(["cut", "half_even"]),
)  # fmt: skip
ANY_REGISTER = st.one_of(
    FIXED, st.just(pq.Float32()), st.builds(pq.AlignedFloat32, st.integers(1, 64), st.integers(1, 5))
)


@given(
    st.sampled_from(ELEMENTS), st.sampled_from(ELEMENTS), st.sampled_from([("e8m0", 255), ("e4m3", 127)]),
    st.sampled_from([2, 3, 4]), st.integers(0, 9), st.booleans(), ANY_REGISTER, st.integers(0, 2**32 - 1),
)  # fmt: skip
@settings(max_examples=60)
def test_any_formats_scales_and_registers(
    left: pq.NumberFormat, right: pq.NumberFormat, scale: tuple[str, int], size: int, depth: int, near: bool,
    register: Any, seed: int,
) -> None:  # fmt: skip
    """Scales over all of their range, or near each other."""
    rng = np.random.default_rng(seed)
    kind, beyond = scale
    scales = (beyond // 2 - 5, beyond // 2 + 5) if near else (0, beyond)
    a = drawn(pq.Block(left, size, kind), (2, depth), -1, rng, scales)
    b = drawn(pq.Block(right, size, kind), (depth, 3), -2, rng, scales)
    check(a, b, register)


@pytest.mark.parametrize("element", [pq.E2M1, pq.Uniform(4, 0.5)])
def test_every_pair_of_codes(element: pq.NumberFormat) -> None:
    """All blocks of two elements of 4 bits: 65,536 outputs, by integers in NumPy."""
    block_format = pq.Block(element, 2)
    codes = np.array([(i, j) for i in range(16) for j in range(16)])[:, None, :]
    scales = np.resize([127, 125, 130], 256)[:, None]
    a, b = pq.BlockArray(codes, scales, block_format, 2), pq.BlockArray(codes, scales, block_format, 2, -2)
    values = element.align(codes[:, 0])
    exact = (values @ values.T) * 2.0 ** (scales[:, 0, None] + scales[:, 0] - 254)  # in units of 2**-2
    assert np.array_equal(pq.matmul(a, b, pq.Float32()).acc, exact / 4)
    for weight, bits in ((-2, 12), (0, 7), (1, 5)):
        scaled = exact * 2.0 ** (-2 - weight)
        for rounding, terms in (("cut", np.floor(scaled)), ("half_even", np.rint(scaled))):
            limit = 2 ** (bits - 1)
            saturated = pq.matmul(a, b, pq.FixedPoint(bits, weight, "saturate", rounding))
            assert np.array_equal(saturated.acc, np.clip(terms, -limit, limit - 1))
            assert saturated.overflow is not None
            assert saturated.overflow.events == np.count_nonzero(saturated.acc != terms)
            wrapped = pq.matmul(a, b, pq.FixedPoint(bits, weight, "wrap", rounding), statistics=False)
            assert np.array_equal(wrapped.acc, (terms + limit) % (2 * limit) - limit)


@pytest.mark.parametrize("name", NAMES)
def test_large_products_are_those_of_numpy(name: str, rng: np.random.Generator) -> None:
    """Float32 by NumPy's float32, one block after the other; sums of blocks are exact in float64, but for E5M2."""
    a, b = natural(name, (70, 333), -1, rng), natural(name, (333, 101), 0, rng)
    result = pq.matmul(a, b, pq.Float32())
    size = a.format.block
    x, w = a.dequantize() / a.format.tensor_scale, b.dequantize() / b.format.tensor_scale
    total = np.zeros((70, 101), np.float32)
    for start in range(0, 333, size):
        total += (x[:, start : start + size] @ w[start : start + size]).astype(np.float32)
    sample = np.ix_([0, 69], [3, 100])
    some_a = pq.BlockArray(a.codes[[0, 69]], a.scales[[0, 69]], a.format, a.depth)
    some_b = pq.BlockArray(b.codes[[3, 100]], b.scales[[3, 100]], b.format, b.depth, -2)
    assert result.acc[sample].tolist() == pq.block_reference.matmul(some_a, some_b, pq.Float32())
    if name not in ("MXFP8_E5M2", "NVFP4"):  # reals divided by the scale of a tensor are rounded
        assert np.array_equal(result.acc, total)
    assert np.allclose(result.acc, total, rtol=1e-4, atol=1e-4)
    assert result.acc.dtype == np.float32
    assert np.array_equal(result.real(), result.acc * np.float64(a.format.tensor_scale * b.format.tensor_scale))
    for register in (pq.FixedPoint(16, -4, "saturate"), pq.FixedPoint(14, -4), pq.AlignedFloat32(13, 4)):
        found = pq.matmul(a, b, register).acc[sample].tolist()
        assert found == pq.block_reference.matmul(some_a, some_b, register)


def test_the_same_bits_on_any_number_of_threads(rng: np.random.Generator) -> None:
    a, b = natural("MXFP8", (90, 64), -1, rng), natural("MXFP6", (64, 300), 0, rng)
    before = pq.get_num_threads()
    registers = (pq.Float32(), pq.FixedPoint(18, -6, "saturate"), pq.FixedPoint(12, -4), pq.AlignedFloat32(9))
    try:
        found = []
        for threads in (1, 2, 3):
            pq.set_num_threads(threads)
            found.append([pq.matmul(a, b, register) for register in registers])
    finally:
        pq.set_num_threads(before)
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            assert one.acc.tobytes() == other.acc.tobytes()
            assert one.overflow == other.overflow


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_statistics_by_the_reference(overflow: str, rng: np.random.Generator) -> None:
    a, b = natural("MXFP8", (4, 200), -1, rng), natural("MXINT8", (200, 5), 0, rng)
    register = pq.FixedPoint(11, -3, overflow, "half_even")
    events, first, lowest, highest = np.zeros((4, 5), int), None, 0, 0
    for (i, row), (j, values) in product(enumerate(pq.block_reference.values(a, b)), enumerate(range(5))):
        held = exact = 0
        for block, value in enumerate(row[values]):
            term = pq.block_reference.on_grid(value, register)
            exact, total = exact + term, held + term
            lowest, highest = min(lowest, exact), max(highest, exact)
            held = (total + 1024) % 2048 - 1024 if overflow == "wrap" else min(max(total, -1024), 1023)
            events[i, j] += held != total
            if held != total and first is None:
                first = ((i, j), block)
    result = pq.matmul(a, b, register)
    found = result.overflow
    assert found is not None
    assert first is not None
    assert (found.events, found.outputs, found.first) == (events.sum(), np.count_nonzero(events), first)
    assert (found.prefixes.lowest, found.prefixes.highest) == (lowest, highest)
    assert not result.exact
    assert pq.matmul(a, b, pq.FixedPoint(found.bits_needed, -3, "trap", "half_even")).exact
    again = pickle.loads(pickle.dumps(result))
    assert again.overflow == found


def test_widths_beyond_every_register() -> None:
    """The sums of values that no word holds are found in Python integers."""
    a = pq.BlockArray(np.full((1, 2, 2), 64), [[254, 254]], pq.Block(pq.Uniform(8, 2.0**-6), 2), 4)
    b = pq.BlockArray(np.full((1, 2, 2), 64), [[254, 100]], a.format, 4, -2)
    result = pq.matmul(a, b, pq.FixedPoint(20, -40, "saturate"))
    assert result.acc.tolist() == [[2**19 - 1]]
    assert result.overflow is not None
    assert result.overflow.events == 2
    assert result.overflow.prefixes.highest == (2 * 2**254 + 2 * 2 ** (127 - 27)) << 40
    assert result.overflow.bits_needed == 297
    assert not result.exact
    assert pq.matmul(a, b, pq.Float32()).acc.tolist() == [[np.inf]]


def test_blocks_of_zeros_with_any_scale(rng: np.random.Generator) -> None:
    """The least scale and the greatest, of blocks that hold nothing."""
    a, b = natural("MXFP4", (2, 128), -1, rng), natural("MXFP4", (128, 3), 0, rng)
    codes, scales = a.codes.copy(), a.scales.copy()
    codes[:, :2], scales[:, 0], scales[:, 1] = 0, 0, 254
    a = pq.BlockArray(codes, scales, a.format, 128)
    other = b.scales.copy()
    other[:, 1] = 254
    b = pq.BlockArray(b.codes, other, b.format, 128, -2)
    for register in (pq.Float32(), pq.FixedPoint(14, -40, "saturate"), pq.FixedPoint(14, -2), pq.AlignedFloat32(8)):
        check(a, b, register)


def test_batches_broadcast(rng: np.random.Generator) -> None:
    a = pq.quantize_blocks(rng.normal(size=(2, 1, 3, 40)), pq.MXFP6)
    b = pq.quantize_blocks(rng.normal(size=(3, 40, 5)), pq.MXFP8, axis=1)
    for register in (pq.Float32(), pq.FixedPoint(9, -3, "saturate"), pq.FixedPoint(60, -30), pq.AlignedFloat32(8)):
        result = pq.matmul(a, b, register)
        assert result.acc.shape == (2, 3, 3, 5)
        for i, j in product(range(2), range(3)):
            one_a = pq.BlockArray(a.codes[i, 0], a.scales[i, 0], a.format, 40)
            one_b = pq.BlockArray(b.codes[j], b.scales[j], b.format, 40, -2)
            assert result.acc[i, j].tolist() == pq.block_reference.matmul(one_a, one_b, register)
    shared = pq.quantize_blocks(rng.normal(size=(40, 5)), pq.MXFP8, axis=0)
    rows = pq.BlockArray(a.codes.reshape(6, 2, 32), a.scales.reshape(6, 2), a.format, 40)
    wide = pq.matmul(a, shared, pq.Float32())
    assert np.array_equal(wide.acc.reshape(6, 5), pq.matmul(rows, shared, pq.Float32()).acc)


@pytest.mark.parametrize("shape", [(0, 40, 3), (2, 0, 3), (2, 40, 0)])
def test_nothing_to_add(shape: tuple[int, int, int]) -> None:
    a = pq.quantize_blocks(np.ones(shape[:2]), pq.MXFP8)
    b = pq.quantize_blocks(np.ones(shape[1:]), pq.MXFP8, axis=0)
    for register in (pq.Float32(), pq.AlignedFloat32(8), pq.FixedPoint(8, 0, "saturate")):
        result = pq.matmul(a, b, register)
        assert result.acc.shape == (shape[0], shape[2])
        assert result.exact == (shape[1] == 0 or not result.acc.size)


def test_certificates(rng: np.random.Generator) -> None:
    a, b = natural("MXINT8", (3, 64), -1, rng), natural("MXINT8", (64, 4), 0, rng)
    wide = pq.matmul(a, b, pq.FixedPoint(40, -12, "trap"))
    assert (wide.certificate.name, wide.certificate.certified, wide.exact) == ("norms", 12, True)
    limit = int(wide.certificate.why.split("exceeds ")[1].split()[0])
    assert np.abs(wide.acc).max() <= limit < 2**39
    narrow = pq.FixedPoint(8, -12)
    assert pq.matmul(a, b, narrow, statistics=False).certificate.name == "ring_homomorphism"
    assert pq.matmul(a, b, narrow).certificate.name == "step_by_step"
    assert pq.matmul(a, b, pq.Float32()).exact
    assert not pq.matmul(a, b, pq.AlignedFloat32(1)).exact


def test_what_is_refused(rng: np.random.Generator) -> None:
    a, b = natural("MXFP8", (2, 64), -1, rng), natural("MXFP8", (64, 3), 0, rng)
    plain = pq.quantize(np.ones((64, 3)), pq.E4M3)
    wide = pq.FixedPoint(40, -20)
    with pytest.raises(TypeError, match="b must be a BlockArray, as the other operand is one, got QuantizedArray"):
        pq.matmul(a, plain, wide)
    with pytest.raises(TypeError, match="a must be a BlockArray"):
        pq.matmul(plain.T, b, wide)
    with pytest.raises(TypeError, match="blocks are added in a FixedPoint, Float32 or AlignedFloat32, got Accumulator"):
        pq.matmul(a, b, pq.Accumulator(32))
    with pytest.raises(TypeError, match="accumulator must be an Accumulator, got FixedPoint"):
        pq.matmul(plain.T, plain, wide)
    with pytest.raises(ValueError, match=r"a must have two dimensions or more and blocks along its last axis"):
        pq.matmul(b, b, wide)
    with pytest.raises(ValueError, match="blocks along its last but one axis"):
        pq.matmul(a, a, wide)
    with pytest.raises(ValueError, match="the size of blocks have to be the same"):
        pq.matmul(a, pq.quantize_blocks(np.ones((64, 3)), pq.NVFP4, axis=0), wide)
    with pytest.raises(ValueError, match="do not broadcast"):
        pq.matmul(
            pq.quantize_blocks(np.ones((2, 2, 32)), pq.MXFP8),
            pq.quantize_blocks(np.ones((3, 32, 2)), pq.MXFP8, 1),
            wide,
        )
    scales = a.scales.copy()
    scales[1, 1] = 255
    with pytest.raises(ValueError, match=r"1 of 4 scales of a are NaN, the first at index .1, 1."):
        pq.matmul(pq.BlockArray(a.codes, scales, pq.MXFP8, 64), b, wide)
    half = pq.Block(pq.Minifloat(5, 10))
    huge = pq.quantize_blocks(np.ones((2, 32)), half), pq.quantize_blocks(np.ones((32, 2)), half, axis=0)
    with pytest.raises(ValueError, match="could need 87 bits beside its sign, which is wider than"):
        pq.matmul(*huge, wide)


def test_operands_that_are_changed_in_place(rng: np.random.Generator) -> None:
    """Nothing that was made for an array is used for what it has become."""
    a, b = natural("MXFP8", (2, 64), -1, rng), natural("MXFP8", (64, 3), 0, rng)
    other = natural("MXFP8", (2, 64), -1, rng)
    pq.matmul(a, b, pq.Float32())
    object.__setattr__(a, "codes", other.codes)
    object.__setattr__(a, "scales", other.scales)
    assert np.array_equal(pq.matmul(a, b, pq.Float32()).acc, pq.matmul(other, b, pq.Float32()).acc)
