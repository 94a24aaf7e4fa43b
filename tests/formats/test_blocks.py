"""Block formats: conversion against gfloat and rational arithmetic, scales against ml_dtypes, and storage."""

from __future__ import annotations

import copy
import math
import pickle
from fractions import Fraction
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import ptqsim as pq
from ptqsim.datapath.codes.minifloat import minifloat_aligned, minifloat_code
from ptqsim.formats.registry import block_from_dict

MX = {name: getattr(pq, name) for name in ("MXINT8", "MXFP8", "MXFP8_E5M2", "MXFP6", "MXFP6_E3M2", "MXFP4")}
BITS = {"MXINT8": 8.25, "MXFP8": 8.25, "MXFP8_E5M2": 8.25, "MXFP6": 6.25, "MXFP6_E3M2": 6.25, "MXFP4": 4.25}
# floor(log2) of the largest numbers: 127/64, 448, 57344, 7.5, 28 and 6 (MX 1.0, section 5.3)
EMAX = {"MXINT8": 0, "MXFP8": 8, "MXFP8_E5M2": 15, "MXFP6": 2, "MXFP6_E3M2": 4, "MXFP4": 2}


def reals(blocks: int, size: int, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """Blocks of float32 of very different magnitudes; powers of two, zeros, and values of one sign among them."""
    x = rng.normal(size=(blocks, size)) * 2.0 ** rng.integers(-30, 30, (blocks, 1))
    x[1] = 0.0
    x[2] = 2.0 ** rng.integers(-12, 3, size)
    x[3, 1:] = 0.0
    x[4] = -np.abs(x[4])
    x[5] *= 2.0 ** rng.integers(-20, 0, size)
    return x.astype(np.float32)


def floor_log2(value: Fraction) -> int:
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    return exponent if value >= Fraction(2) ** exponent else exponent - 1


def element_code(quotient: Fraction, element: pq.NumberFormat) -> int:
    """The code of V / X in rational arithmetic, half to even and saturating."""
    if isinstance(element, pq.Minifloat):
        code = minifloat_code(abs(quotient), element)
        return element.largest_code if code is None else code
    return min(max(round(quotient / Fraction(element.scale)), -128), 127) % 256


@pytest.mark.parametrize("name", MX)
def test_conversion_by_the_rule_of_mx(name: str, rng: np.random.Generator) -> None:
    """MX 1.0, section 6.3, in rational arithmetic."""
    block_format = MX[name]
    x = reals(20, 32, rng)
    x[6] *= np.float32(2.0**-120)
    array = pq.quantize_blocks(x, block_format)
    assert array.scales.shape == (20, 1)
    for values, code, elements in zip(x, array.scales[:, 0].tolist(), array.codes[:, 0].tolist(), strict=True):
        exact = [Fraction(float(v)) for v in values]
        largest = max(map(abs, exact))
        exponent = max(floor_log2(largest) - EMAX[name], -127) if largest else -127
        assert code == exponent + 127
        expected = [element_code(v / Fraction(2) ** exponent, block_format.element) for v in exact]
        if isinstance(block_format.element, pq.Minifloat):
            half = block_format.element.code_count // 2
            expected = [c | (half if v < 0 else 0) for c, v in zip(expected, values, strict=True)]
        assert elements == expected
    real = array.dequantize()
    exact_reals = array.format.element.decode(array.codes) * 2.0 ** (array.scales.astype(int)[..., None] - 127)
    assert np.array_equal(real, exact_reals.reshape(20, 32))
    assert np.array_equal(pq.quantize_blocks(real, block_format).dequantize(), real)


@pytest.mark.skipif(not find_spec("gfloat"), reason="gfloat is not installed")
@pytest.mark.parametrize("name", MX)
def test_conversion_equals_gfloat(name: str, rng: np.random.Generator) -> None:
    from gfloat import RoundMode, compute_scale_amax, formats, quantize_block

    peer = getattr(formats, {"MXINT8": "format_info_mxint8", "MXFP8": "format_info_mxfp8_e4m3",
        "MXFP8_E5M2": "format_info_mxfp8_e5m2", "MXFP6": "format_info_mxfp6_e2m3",
        "MXFP6_E3M2": "format_info_mxfp6_e3m2", "MXFP4": "format_info_mxfp4_e2m1"}[name])  # fmt: skip
    x = reals(60, 32, rng).astype(np.float64)
    expected = [quantize_block(peer, block, compute_scale_amax, RoundMode.TiesToEven) for block in x]
    assert np.array_equal(pq.quantize_blocks(x, MX[name]).dequantize(), expected)


def test_scales_equal_ml_dtypes() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    codes = np.arange(256, dtype=np.uint8)
    expected = codes.view(ml_dtypes.float8_e8m0fnu).astype(np.float64)
    assert np.array_equal(pq.MXFP4.decode_scales(codes), expected, equal_nan=True)


def test_the_ends_of_the_range_of_scales() -> None:
    """Scales are clamped to 2**-127 .. 2**127, and elements saturate above: 6 * 2**127 with E2M1."""
    x = np.zeros((3, 32))
    x[:, 0] = 2.0**200, 2.0**-128, -(2.0**130)
    array = pq.quantize_blocks(x, pq.MXFP4)
    assert array.scales[:, 0].tolist() == [254, 0, 254]
    assert array.dequantize()[:, 0].tolist() == [6 * 2.0**127, 2.0**-128, -6 * 2.0**127]
    array = pq.BlockArray(np.ones((1, 32), np.uint8), [255], pq.MXFP4, 32)
    assert np.isnan(array.dequantize()).all()


def test_int8_elements_reach_minus_2() -> None:
    """-1.999 over 2**0 is -127.9 steps of 1/64, which is rounded to -128; 1.999 is clamped to 127."""
    array = pq.quantize_blocks([-1.999, 1.999, 1.0] + [0.0] * 29, pq.MXINT8)
    assert array.codes[0, :3].tolist() == [128, 127, 64]
    assert array.dequantize()[:3].tolist() == [-2.0, 127 / 64, 1.0]


def test_nvfp4_by_rational_arithmetic(rng: np.random.Generator) -> None:
    """Scales and elements within half a step of the exact quotients, and of two neighbors the nearer."""
    x = reals(12, 16, rng).astype(np.float64)
    x[5:] = rng.normal(size=(7, 16)) * 2.0 ** rng.integers(-3, 3, (7, 1))
    x[[0, 2, 3, 4]] = rng.normal(size=(4, 16))
    block_format = pq.NVFP4.covering(x)
    assert block_format.tensor_scale == float(np.float32(np.abs(x).max() / (448 * 6)))
    array = pq.quantize_blocks(x, block_format)
    tensor = Fraction(block_format.tensor_scale)
    assert array.scales.max() == 0x7E  # 448
    for values, code, elements in zip(x, array.scales[:, 0].tolist(), array.codes[:, 0].tolist(), strict=True):
        largest = max(abs(Fraction(v)) for v in values)
        assert code == minifloat_code(largest / 6 / tensor, pq.E4M3)
        scale = minifloat_aligned(code, pq.E4M3) * Fraction(1, 512) * tensor
        for value, element in zip(values, elements, strict=True):
            expected = element_code(Fraction(value) / scale, pq.E2M1) if scale else 0
            assert element == expected | (8 if value < 0 else 0)
    assert np.abs(array.dequantize() - x).max() <= np.abs(x).max() / 5


def test_nvfp4_where_scales_vanish_or_saturate() -> None:
    x = np.full((2, 16), 1e-12)
    x[1] = 1.0
    array = pq.quantize_blocks(x, pq.Block(pq.E2M1, 16, "e4m3", 1e-3))
    assert array.scales[:, 0].tolist() == [0, pq.E4M3.encode(1 / 6 / 1e-3)]
    assert (array.dequantize()[0] == 0).all()
    huge = pq.quantize_blocks(np.full(16, -1e300), pq.Block(pq.E2M1, 16, "e4m3", 1e-300))
    assert (huge.scales.tolist(), huge.codes[0].tolist()) == ([0x7E], [15] * 16)


@pytest.mark.parametrize("name", [*MX, "NVFP4"])
@pytest.mark.parametrize(("shape", "axis"), [((5, 70), -1), ((70, 5), 0), ((2, 70, 3), 1), ((32,), 0), ((3, 0), 1)])
def test_shapes_padding_and_packing(name: str, shape: tuple[int, ...], axis: int, rng: np.random.Generator) -> None:
    block_format = getattr(pq, name)
    x = rng.normal(size=shape)
    array = pq.quantize_blocks(x, block_format, axis)
    depth, size = shape[axis], block_format.block
    lines = math.prod(shape) // max(depth, 1) if depth else 0
    blocks = -(-depth // size)
    assert (array.shape, array.depth, array.scales.size) == (shape, depth, lines * blocks)
    assert array.dequantize().shape == shape
    moved = np.moveaxis(x, axis, -1)
    padded = np.concatenate([moved, np.zeros((*moved.shape[:-1], blocks * size - depth))], axis=-1)
    whole = pq.quantize_blocks(padded, block_format)
    assert np.array_equal(whole.codes, array.codes)
    assert np.array_equal(whole.scales, array.scales)
    assert np.array_equal(np.moveaxis(whole.dequantize()[..., :depth], -1, axis), array.dequantize())
    data = array.pack()
    assert len(data) == lines * blocks * (1 + size * block_format.element.bits // 8)
    if blocks:
        assert len(data) * 8 / array.codes.size == block_format.bits_per_value
    again = pq.BlockArray.from_packed(data, block_format, shape, axis)
    assert np.array_equal(again.dequantize(), array.dequantize())
    for same in (copy.deepcopy(array), pickle.loads(pickle.dumps(array))):
        assert np.array_equal(same.codes, array.codes)
        assert (same.format, same.shape, same.axis) == (array.format, array.shape, array.axis)


def test_bytes_by_hand() -> None:
    """Two blocks: scales first, then elements of 4 bits from the least significant bit on."""
    codes = np.array([[1, 2] + [0] * 29 + [15], [0] * 31 + [8]])
    array = pq.BlockArray(codes, [127, 130], pq.MXFP4, 64)
    assert array.pack() == bytes([127, 130, 0x21] + [0] * 14 + [0xF0] + [0] * 15 + [0x80])
    assert array.dequantize()[[0, 1, 31]].tolist() == [0.5, 1.0, -6.0]
    assert repr(array) == "BlockArray(shape=(64,), blocks=2, format=Block(element=E2M1, block=32, scale='e8m0'))"


def test_bits_per_value() -> None:
    assert {name: block_format.bits_per_value for name, block_format in MX.items()} == BITS
    assert pq.NVFP4.bits_per_value == 4.5
    assert {name: block_format.largest_exponent for name, block_format in MX.items()} == EMAX


def test_codes_are_read_only() -> None:
    array = pq.quantize_blocks(np.ones(32), pq.MXFP4)
    for codes in (array.codes, array.scales):
        with pytest.raises(ValueError, match="read-only"):
            codes[...] = 0


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (("E2M1",), TypeError, "the element of a block is 'E2M1'"),
        (
            (pq.PWLQ(4, 0.25, 0.5, 1.0),),
            ValueError,
            "legal are a Minifloat with scale=1 that saturates, and form",
        ),
        ((pq.Uniform(8, [0.5], axis=-1),), ValueError, "cannot be the element of a block"),
        ((pq.Uniform(8, 0.3),), ValueError, "0.3 is no power of two"),
        ((pq.E2M1.with_scale(2.0),), ValueError, "cannot be the element of a block"),
        ((pq.Minifloat(4, 3, special="fn", saturate=False),), ValueError, "cannot be the element of a block"),
        ((pq.Minifloat(8, 7),), ValueError, "of up to 48 aligned bits"),
        ((pq.E2M1, 1), ValueError, "block must be an integer from 2 to 65536, got 1"),
        ((pq.E2M1, 32, "e8m1"), ValueError, "unknown block scale 'e8m1'; legal are 'e8m0', 'e4m3'"),
        ((pq.E2M1, 32, "e8m0", 0.5), ValueError, "have no tensor_scale, got 0.5: the scale of an MX block is a power"),
        ((pq.E2M1, 32, "e4m3", 0.0), ValueError, "tensor_scale must be finite and positive"),
    ],
)
def test_formats_that_are_refused(arguments: tuple[Any, ...], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        pq.Block(*arguments)


def test_arrays_that_are_refused() -> None:
    codes, scales = np.zeros((2, 32), np.uint8), [127, 127]
    with pytest.raises(ValueError, match="a depth of 32 has 1 blocks of 32, got 2"):
        pq.BlockArray(codes, scales, pq.MXFP4, 32)
    with pytest.raises(ValueError, match="do not fit Block"):
        pq.BlockArray(codes, [127], pq.MXFP4, 64)
    with pytest.raises(ValueError, match="do not fit Block"):
        pq.BlockArray(codes[:, :16], scales, pq.MXFP4, 64)
    with pytest.raises(ValueError, match="codes of 4 bits go from 0 to 15, got 16"):
        pq.BlockArray(codes + 16, scales, pq.MXFP4, 64)
    with pytest.raises(ValueError, match="codes of 7 bits go from 0 to 127, got 128"):
        pq.BlockArray(np.zeros((1, 16), np.uint8), [128], pq.NVFP4, 16)
    with pytest.raises(ValueError, match="axis must be an integer from -1 to -1, got -2; it is counted from the end"):
        pq.BlockArray(codes, scales, pq.MXFP4, 64, -2)
    with pytest.raises(TypeError, match="format must be a Block"):
        pq.BlockArray(codes, scales, pq.E2M1, 64)
    with pytest.raises(ValueError, match=r"1 of 32 values are NaN or infinite, the first is nan at index .3,."):
        pq.quantize_blocks([0.0, 1.0, 2.0, np.nan] + [0.0] * 28, pq.MXFP8)
    with pytest.raises(ValueError, match="no axis along which blocks could lie"):
        pq.quantize_blocks(1.0, pq.MXFP8)
    with pytest.raises(ValueError, match="axis must be an integer from -1 to 0, got 1"):
        pq.quantize_blocks([1.0], pq.MXFP8, 1)
    with pytest.raises(TypeError, match="block_format must be a Block"):
        pq.quantize_blocks([1.0], pq.E4M3)
    with pytest.raises(TypeError, match="number_format must be a NumberFormat"):
        pq.quantize([1.0], pq.MXFP8)
    with pytest.raises(ValueError, match=r"1 blocks of .* take 17 bytes, got 16"):
        pq.BlockArray.from_packed(bytes(16), pq.MXFP4, (32,))
    with pytest.raises(ValueError, match="have no tensor_scale that could cover"):
        pq.MXFP4.covering([1.0])
    with pytest.raises(ValueError, match="an all-zero tensor has no scale"):
        pq.NVFP4.covering([0.0])


PLAIN = (
    pq.Uniform(6, 0.1), pq.Uniform(8, 0.01, signed=False, zero_point=9), pq.TwinSoftmax(8, 11), pq.TwinGELU(6, 4, 0.03),
    pq.Minifloat(4, 3, special="fn", scale=0.3, saturate=False), pq.Log2(5), pq.Log2(4, root=2),
)  # fmt: skip


@pytest.mark.parametrize("number_format", PLAIN, ids=lambda fmt: fmt.short())
def test_plain_codes_become_blocks_of_scale_1(number_format: pq.NumberFormat, rng: np.random.Generator) -> None:
    plain = pq.quantize(np.abs(rng.normal(size=(5, 70, 3))) / 3, number_format)
    blocks = pq.BlockArray.from_plain(plain, 32, axis=-2)
    assert np.array_equal(blocks.dequantize(), plain.dequantize())
    assert (blocks.shape, blocks.scales.shape) == ((5, 70, 3), (5, 3, 3))
    assert (blocks.format.decode_scales(blocks.scales) == 1).all()
    assert block_from_dict(blocks.format.to_dict()) == blocks.format


def test_nothing_is_rounded_to_elements_of_plain_codes() -> None:
    fmt = pq.BlockArray.from_plain(pq.quantize([0.5], pq.TwinSoftmax(4, 2)), 32).format
    with pytest.raises(ValueError, match=r"cannot be rounded to blocks of TwinSoftmax.*from_plain"):
        pq.quantize_blocks([0.5], fmt)
    for wrong, words in (
        (pq.quantize([[0.5]], pq.Uniform(8, [0.1], axis=-1)), "formats of integers on one grid with one scale"),
        (pq.quantize([0.5], pq.PWLQ(4, 0.25, 0.5, 1.0)), "formats of integers on one grid with one scale"),
    ):
        with pytest.raises(ValueError, match=words):
            pq.BlockArray.from_plain(wrong, 32)
    with pytest.raises(TypeError, match="array"):
        pq.BlockArray.from_plain(np.ones(3), 32)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "blocks"}, "of kind 'block'"),
        ({"element": 8}, "has an element"),
        ({"size": 3}, "cannot make a block format from the fields"),
        ({"block": 1}, "block must be"),
    ],
)
def test_block_formats_that_files_cannot_hold(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        block_from_dict(pq.NVFP4.to_dict() | change)
