"""Small floats, code by code: against ml_dtypes, gfloat, NumPy's float16 and rational arithmetic."""

from __future__ import annotations

import dataclasses
import json
import math
from fractions import Fraction
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import formats
from ptqsim.datapath.codes.minifloat import minifloat_aligned, minifloat_code

ml_dtypes = pytest.importorskip("ml_dtypes")

# ml_dtypes does not saturate, except where it has no other code.
PEERS: dict[str, tuple[pq.Minifloat, Any]] = {
    "e4m3fn": (dataclasses.replace(pq.E4M3, saturate=False), ml_dtypes.float8_e4m3fn),
    "e5m2": (dataclasses.replace(pq.E5M2, saturate=False), ml_dtypes.float8_e5m2),
    "e3m4": (dataclasses.replace(pq.E3M4, saturate=False), ml_dtypes.float8_e3m4),
    "e4m3": (pq.Minifloat(4, 3, special="ieee", saturate=False), ml_dtypes.float8_e4m3),
    "e3m2": (pq.E3M2, ml_dtypes.float6_e3m2fn),
    "e2m3": (pq.E2M3, ml_dtypes.float6_e2m3fn),
    "e2m1": (pq.E2M1, ml_dtypes.float4_e2m1fn),
    "float16": (pq.Minifloat(5, 10, special="ieee", saturate=False), np.float16),
    "bfloat16": (pq.Minifloat(8, 7, special="ieee", saturate=False), ml_dtypes.bfloat16),
}
SMALL = [
    pq.Minifloat(e, m, bias, special)
    for e in (1, 2, 3, 5)
    for m in (0, 1, 2, 4)
    for bias in (None, -4)
    for special in ("none", "fn", "ieee")
    if not (special == "ieee" and (e == 1 or m == 0)) and not (special == "fn" and e + m < 2)
]


def codes_of(number_format: pq.Minifloat) -> np.ndarray[Any, Any]:
    return np.arange(number_format.code_count).astype(number_format.code_dtype)


def peer_codes(reals: np.ndarray[Any, Any], peer: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    with np.errstate(all="ignore"):
        return reals.astype(peer).view(dtype)


def seeded(count: int) -> np.ndarray[Any, Any]:
    """Half of them of any bits, the others of the magnitudes that small floats have."""
    rng = np.random.default_rng(25)
    bits = rng.integers(0, 1 << 32, count // 2, dtype=np.uint32).view(np.float32)
    usual = rng.normal(size=count - count // 2) * 2.0 ** rng.uniform(-20, 20, count - count // 2)
    return np.concatenate([bits, usual.astype(np.float32)])


@pytest.mark.parametrize("name", PEERS)
def test_every_code_stands_for_what_it_does_elsewhere(name: str) -> None:
    number_format, peer = PEERS[name]
    codes = codes_of(number_format)
    with np.errstate(invalid="ignore"):  # signaling NaNs
        expected = codes.view(peer).astype(np.float64)
    found = number_format.decode(codes)
    assert np.array_equal(found, expected, equal_nan=True)
    assert np.array_equal(np.signbit(found), np.signbit(expected))  # of zeros and of NaN too
    finite = np.isfinite(expected)
    assert np.array_equal(number_format.is_number(codes), finite)
    assert (number_format.real_min, number_format.real_max) == (expected[finite].min(), expected[finite].max())
    numbers = np.flatnonzero(finite)
    assert np.array_equal(number_format.encode(expected[finite]), numbers)
    if number_format.shift_alignable:
        assert np.array_equal(number_format.align(numbers) * number_format.step, expected[finite])


@pytest.mark.parametrize("name", PEERS)
def test_every_float16_is_encoded_as_elsewhere(name: str) -> None:
    number_format, peer = PEERS[name]
    reals = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    if number_format.special == "none":
        reals = reals[np.isfinite(reals)]
    found = number_format.encode(reals)
    expected = peer_codes(reals, peer, found.dtype)
    same = found == expected
    if name == "float16":  # NumPy keeps the bits of a NaN, and here each becomes the quiet one
        same |= np.isnan(reals) & (found & 0x7FFF == 0x7E00)
    assert same.all()


@pytest.mark.parametrize("count", [100_000, pytest.param(10_000_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", PEERS)
def test_float32_is_encoded_as_elsewhere(name: str, count: int) -> None:
    number_format, peer = PEERS[name]
    reals = seeded(count)
    reals = reals[~np.isnan(reals)]
    if number_format.special == "none":
        reals = reals[np.isfinite(reals)]
    assert np.array_equal(number_format.encode(reals), peer_codes(reals, peer, number_format.code_dtype))
    wide = reals[:5000].astype(np.float64) * (1 + 2.0**-40)  # which a detour by float32 would round to a tie
    assert number_format.encode(wide).tolist() == [code_by_fractions(x, number_format) for x in wide.tolist()]


def code_by_fractions(x: float, number_format: pq.Minifloat) -> int:
    """The code of any float64 by the reference, with what it is beyond the largest number."""
    sign = number_format.code_count // 2 if math.copysign(1.0, x) < 0 else 0
    code = None if math.isinf(x) else minifloat_code(abs(Fraction(x)) / Fraction(number_format.scale), number_format)
    if code is None:
        code = number_format.largest_code + (not number_format.saturate)
    return code | sign


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("saturate", [True, False])
@pytest.mark.parametrize("number_format", SMALL, ids=lambda fmt: f"{fmt.name}-{fmt.bias}-{fmt.special}")
def test_encode_equals_rational_arithmetic(number_format: pq.Minifloat, saturate: bool, dtype: Any) -> None:
    if number_format.special == "none" and not saturate:
        return
    number_format = dataclasses.replace(number_format, saturate=saturate)
    codes = codes_of(number_format)
    values = number_format.decode(codes[number_format.is_number(codes)])
    points = np.concatenate([values, (values[1:] + values[:-1]) / 2, values * 1.25, [0.0, -0.0, 1e30, -1e30]])
    reals = np.concatenate([points, np.nextafter(points, np.inf), np.nextafter(points, -np.inf)]).astype(dtype)
    reals = np.concatenate([reals, np.nextafter(reals, dtype(np.inf)), np.nextafter(reals, dtype(-np.inf))])
    if number_format.special != "none":
        reals = np.concatenate([reals, np.array([np.inf, -np.inf], dtype)])
    assert number_format.encode(reals).tolist() == [code_by_fractions(float(x), number_format) for x in reals]


@pytest.mark.parametrize("number_format", SMALL, ids=lambda fmt: f"{fmt.name}-{fmt.bias}-{fmt.special}")
def test_every_code_against_the_formula_and_the_reference(number_format: pq.Minifloat) -> None:
    e, m, bias = number_format.exponent_bits, number_format.mantissa_bits, number_format.bias
    codes = codes_of(number_format)
    numbers = number_format.is_number(codes)
    excluded = {"none": 0, "fn": 2, "ieee": 2 << m}[str(number_format.special)]
    assert (~numbers).sum() == excluded
    for code in codes[numbers].tolist():
        field, fraction = code >> m & ((1 << e) - 1), code & ((1 << m) - 1)
        significand = Fraction(fraction, 1 << m) + (1 if field else 0)
        real = significand * Fraction(2) ** (max(field, 1) - bias) * (-1) ** (code >> (e + m))
        assert Fraction(float(number_format.decode([code])[0])) == real
        aligned = minifloat_aligned(code, number_format)
        assert aligned * Fraction(number_format.step) == real
        assert number_format.align([code])[0] == pq.reference.operand(code, number_format).aligned == aligned
    for code in codes[~numbers].tolist():
        assert not np.isfinite(number_format.decode([code])[0])
        for refuse in (number_format.align, lambda x: pq.reference.operand(int(x[0]), number_format)):
            with pytest.raises(ValueError, match="infinity or NaN"):
                refuse([code])
    assert number_format.real_max == number_format.decode(codes[numbers]).max()
    assert number_format.step == number_format.decode([1])[0]
    assert number_format.aligned_bits == number_format.aligned_max.bit_length()
    assert number_format.aligned_min == -number_format.aligned_max


def test_the_named_formats() -> None:
    """Least and largest number, and how many codes are none: of OFP8 1.0, table 1, of MX 1.0, section 5.3, of LLVM."""
    expected = {
        "E5M2": (2.0**-16, 57344.0, 8), "E4M3": (2.0**-9, 448.0, 2), "E3M4": (2.0**-6, 15.5, 32),
        "E3M2": (0.0625, 28.0, 0), "E2M3": (0.125, 7.5, 0), "E2M1": (0.5, 6.0, 0),
    }  # fmt: skip
    for name, (least, largest, others) in expected.items():
        number_format = getattr(pq, name)
        assert (number_format.step, number_format.real_max) == (least, largest)
        assert number_format.code_count - number_format.is_number(codes_of(number_format)).sum() == others
        assert (number_format.scale, number_format.shift, number_format.saturate) == (1.0, 0, True)
        assert number_format.name.removesuffix("fn") == name


def test_saturation_infinity_and_nan() -> None:
    reals = np.array([464.0, 464.0001, -1e9, np.inf, -np.inf, np.nan, -np.nan], np.float32)
    assert pq.E4M3.encode(reals).tolist() == [0x7E, 0x7E, 0xFE, 0x7E, 0xFE, 0x7F, 0xFF]
    assert PEERS["e4m3fn"][0].encode(reals).tolist() == [0x7E, 0x7F, 0xFF, 0x7F, 0xFF, 0x7F, 0xFF]
    reals[:2] = 61439.0, 61440.0
    assert pq.E5M2.encode(reals).tolist() == [0x7B, 0x7B, 0xFB, 0x7B, 0xFB, 0x7E, 0xFE]
    assert PEERS["e5m2"][0].encode(reals).tolist() == [0x7B, 0x7C, 0xFC, 0x7C, 0xFC, 0x7E, 0xFE]
    assert pq.E2M1.encode([7.0, 1e300, -1e300, -0.0, -0.25]).tolist() == [7, 7, 15, 8, 8]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1.0, 0.0137, 2.0**-130, 3e37])
@pytest.mark.parametrize("name", ["E5M2", "E4M3", "E2M1"])
def test_scales(name: str, scale: float, dtype: Any, rng: np.random.Generator) -> None:
    """Division in the type of the data, and reals that are fake-quantized as their codes are decoded."""
    number_format = getattr(pq, name).with_scale(scale)
    if dtype == np.float32 and scale == 2.0**-130:
        with pytest.raises(ValueError, match="outside the normal range of float32"):
            number_format.encode(np.ones(3, dtype))
        return
    with np.errstate(over="ignore"):
        reals = (rng.normal(size=2000) * 3 * scale).astype(dtype)
    reals = np.where(np.isfinite(reals), reals, dtype(1))
    with np.errstate(over="ignore"):
        quotients = (reals / dtype(scale)).astype(np.float64)
    codes = number_format.encode(reals)
    assert np.array_equal(codes, getattr(pq, name).encode(quotients))
    decoded = number_format.decode(codes)
    assert np.array_equal(decoded, getattr(pq, name).decode(codes) * scale)
    fake = number_format.fake_quantize(reals)
    assert fake.dtype == dtype
    assert np.array_equal(fake, decoded.astype(dtype))
    assert np.array_equal(np.signbit(fake), np.signbit(decoded))
    in_place = reals.copy()
    assert number_format.fake_quantize(in_place, out=in_place) is in_place
    assert np.array_equal(in_place, fake)


def test_fake_quantized_values_beyond_the_type_are_refused() -> None:
    number_format = pq.Minifloat(5, 2, special="ieee", scale=1e35, saturate=False)
    assert number_format.fake_quantize(np.array([1e35, np.inf, -1e35], np.float32)).tolist() == [
        np.float32(1e35), np.inf, np.float32(-1e35)
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"beyond 3.4e\+38, the largest of float32"):
        dataclasses.replace(number_format, special="fn", saturate=True).fake_quantize(np.array([np.inf], np.float32))
    assert pq.E5M2.with_scale(1e35).fake_quantize([1e40]).tolist() == [57344 * 1e35]


def test_types_shapes_layout_and_threads(rng: np.random.Generator) -> None:
    reals = rng.normal(size=(3, 700, 5))
    for real in (reals, reals.astype(np.float32), reals.astype(np.float16), reals.T, reals[::2, ::-1], reals[:0]):
        codes = pq.E4M3.encode(real)
        assert (codes.shape, codes.dtype) == (real.shape, np.uint8)
        wide = np.ascontiguousarray(real)
        assert np.array_equal(codes, peer_codes(wide, ml_dtypes.float8_e4m3fn, np.dtype(np.uint8)))
    assert pq.Minifloat(5, 10).encode(reals).dtype == np.uint16
    assert pq.E4M3.encode([]).shape == (0,)
    assert pq.E2M1.encode(1.0).tolist() == 2
    many, before, found = rng.normal(size=300_001).astype(np.float32), pq.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            pq.set_num_threads(threads)
            found.append((pq.E4M3.encode(many), pq.E4M3.fake_quantize(many)))
    finally:
        pq.set_num_threads(before)
    for codes, fake in found:
        assert np.array_equal(codes, found[0][0])
        assert np.array_equal(fake, pq.E4M3.decode(codes))


@pytest.mark.parametrize("number_format", [pq.E4M3, pq.E3M2, pq.Minifloat(5, 10, 3, "fn", 0.5, False)])
def test_plain_data_and_packing(number_format: pq.Minifloat, rng: np.random.Generator) -> None:
    assert formats.from_dict(json.loads(json.dumps(number_format.to_dict()))) == number_format
    assert number_format.with_scale(0.25).scale == 0.25
    array = pq.QuantizedArray(rng.integers(0, number_format.code_count, (3, 5)), number_format)
    data = array.pack()
    assert len(data) == -(-15 * number_format.bits // 8)
    assert pq.QuantizedArray.from_packed(data, number_format, (3, 5)) == array


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0, 3), "exponent_bits must be an integer from 1 to 8, got 0"),
        ((9, 3), "exponent_bits must be an integer from 1 to 8, got 9"),
        ((4, -1), "mantissa_bits must be an integer from 0 to 11, got -1; a code has a sign, the exponent and the"),
        ((8, 8), "mantissa_bits must be an integer from 0 to 7, got 8"),
        ((4, 3, 257), "bias must be an integer from -256 to 256, got 257"),
        ((4, 3, None, "iee"), "unknown special values 'iee'; legal are 'none', 'fn', 'ieee'. Did you mean 'ieee'?"),
        ((1, 3, None, "ieee"), "E1M3 with special='ieee' has no code left"),
        ((3, 0, None, "ieee"), "E3M0 with special='ieee' has no code left"),
        ((1, 0, None, "fn"), "E1M0fn has no number but zero"),
        ((2, 1, None, "none", 1.0, False), "E2M1 has no code for what is beyond its largest number"),
        ((2, 1, None, "none", 0.0), "scale must be finite and positive, got 0.0"),
        ((5, 2, None, "ieee", 1e306), "the largest code of .* stands for more than 1.8e\\+308"),
        ((5, 2, None, "ieee", 1e-306), "the step of .* is .*, and legal is a normal float64"),
    ],
)
def test_formats_that_are_refused(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        pq.Minifloat(*arguments)


@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_not_finite_without_a_code_for_it(strange: float, dtype: Any) -> None:
    reals = np.array([[1.0, 2.0], [strange, 3.0]], dtype)
    for method in (pq.E2M1.encode, pq.E2M1.fake_quantize):
        with pytest.raises(ValueError, match=r"1 of 4 values are NaN or infinite, the first is .* at index .1, 0."):
            method(reals)


def test_codes_without_an_aligned_value() -> None:
    with pytest.raises(
        ValueError, match=r"2 of 4 codes are infinity or NaN in E5M2, the first is 0x7c .inf. at .*1, 0"
    ):
        pq.E5M2.align([[1, 0x7B], [0x7C, 0xFF]])
    for number_format in (pq.Minifloat(6, 2), pq.Minifloat(8, 7, special="ieee")):
        assert not number_format.shift_alignable
        with pytest.raises(ValueError, match=r"take .* bits and their sign, and a datapath takes up to 48"):
            number_format.align([1])
        with pytest.raises(ValueError, match="not integers on one grid"):
            pq.reference.operand(1, number_format)
        assert number_format.encode(number_format.decode([1])).tolist() == [1]
    assert pq.Minifloat(5, 10).shift_alignable


@pytest.mark.skipif(not find_spec("gfloat"), reason="gfloat is not installed")
@pytest.mark.parametrize("saturate", [True, False])
@pytest.mark.parametrize("number_format", SMALL, ids=lambda fmt: f"{fmt.name}-{fmt.bias}-{fmt.special}")
def test_gfloat(number_format: pq.Minifloat, saturate: bool, rng: np.random.Generator) -> None:
    """Every code, and rounding to nearest of reals on and between them."""
    import gfloat

    if number_format.special == "none" and not saturate:
        return
    number_format = dataclasses.replace(number_format, saturate=saturate)
    m, special = number_format.mantissa_bits, number_format.special
    info = gfloat.FormatInfo(
        "peer", number_format.bits, m + 1, bias=number_format.bias, is_signed=True,
        domain=gfloat.Domain.Extended if special == "ieee" else gfloat.Domain.Finite, has_nz=True,
        num_high_nans={"none": 0, "fn": 1, "ieee": (1 << m) - 1}[str(special)], has_subnormals=True,
        is_twos_complement=False,
    )  # fmt: skip
    codes = codes_of(number_format)
    decoded = [gfloat.decode_float(info, code).fval for code in codes.tolist()]
    assert np.array_equal(number_format.decode(codes), decoded, equal_nan=True)
    reals = rng.normal(size=300) * number_format.step * 2.0 ** rng.uniform(0, number_format.aligned_bits + 1, 300)
    values = np.sort(number_format.decode(codes[number_format.is_number(codes)]))
    for x in [*reals.tolist(), *((values[1:] + values[:-1]) / 2).tolist()]:
        rounded = gfloat.round_float(info, x, gfloat.RoundMode.TiesToEven, saturate)
        assert np.array_equal(number_format.decode(number_format.encode([x])), [rounded], equal_nan=True)
