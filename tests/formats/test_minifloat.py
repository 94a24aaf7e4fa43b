"""Small floats, code by code: against ml_dtypes, gfloat, NumPy's float16 and rational arithmetic."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import ptqsim as pq
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
@pytest.mark.parametrize(
    "number_format",
    [*SMALL, *(dataclasses.replace(fmt, saturate=False) for fmt in SMALL if fmt.special != "none")],
    ids=lambda fmt: f"{fmt.name}-{fmt.bias}-{fmt.special}-{'saturate' if fmt.saturate else 'infinity'}",
)
def test_encode_equals_rational_arithmetic(number_format: pq.Minifloat, dtype: Any) -> None:
    codes = codes_of(number_format)
    values = number_format.decode(codes[number_format.is_number(codes)])
    points = np.concatenate([values, (values[1:] + values[:-1]) / 2, values * 1.25, [0.0, -0.0, 1e30, -1e30]])
    reals = np.concatenate([points, np.nextafter(points, np.inf), np.nextafter(points, -np.inf)]).astype(dtype)
    reals = np.concatenate([reals, np.nextafter(reals, dtype(np.inf)), np.nextafter(reals, dtype(-np.inf))])
    if number_format.special != "none":
        reals = np.concatenate([reals, np.array([np.inf, -np.inf], dtype)])
    # Codes of magnitudes, each once, as fractions take long; the sign is the first bit.
    magnitudes, which = np.unique(np.abs(reals), return_inverse=True)
    expected = np.array([code_by_fractions(x, number_format) for x in magnitudes.tolist()])[which]
    expected |= np.where(np.signbit(reals), number_format.code_count // 2, 0)
    assert np.array_equal(number_format.encode(reals), expected)


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
