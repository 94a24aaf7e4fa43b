"""Small floats beside their codes: types, threads, limits, files and words."""

from __future__ import annotations

import dataclasses
import json
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import formats
from tests.formats.test_minifloat import SMALL, codes_of, peer_codes

ml_dtypes = pytest.importorskip("ml_dtypes")


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
