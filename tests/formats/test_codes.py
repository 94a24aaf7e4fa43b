"""Every code of every format: what it stands for, and what is encoded as it."""

from __future__ import annotations

import json

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import formats
from tests.formats import oracle

ROUNDINGS = ["half_even", "half_away", "half_up", "toward_zero"]


def asymmetric(bits: int, rounding: str = "half_even") -> list[pq.Uniform]:
    """Unsigned codes, and zero points at both ends, beside zero and between."""
    half, top = 1 << (bits - 1), (1 << bits) - 1
    return [
        *(pq.Uniform(bits, 0.0137, rounding, False, zero) for zero in {0, 1, half, top // 3, top}),
        *(pq.Uniform(bits, 0.0137, rounding, True, zero) for zero in {-half, -1, half // 2, half - 1} - {0}),
    ]


def every_format(bits: int) -> list[pq.NumberFormat]:
    shifts = range(12)
    return [
        pq.Uniform(bits, 0.0137),
        *asymmetric(bits),
        *(pq.TwinSoftmax(bits, shift) for shift in shifts),
        *(pq.TwinGELU(bits, shift, 0.0013) for shift in shifts),
    ]


@pytest.mark.parametrize("bits", range(2, 9))
def test_align_and_decode_every_code(bits: int) -> None:
    codes = np.arange(1 << bits, dtype=np.uint8)
    for number_format in every_format(bits):
        expected = [pq.reference.operand(code, number_format).aligned for code in codes.tolist()]
        assert number_format.align(codes).tolist() == expected
        assert number_format.decode(codes).tolist() == [value * number_format.scale for value in expected]
        assert (number_format.aligned_min, number_format.aligned_max) == (min(expected), max(expected))


@pytest.mark.parametrize("bits", range(2, 9))
def test_encode_inverts_decode_up_to_redundant_codes(bits: int) -> None:
    codes = np.arange(1 << bits, dtype=np.uint8)
    for number_format in every_format(bits):
        again = number_format.encode(number_format.decode(codes))
        assert np.array_equal(number_format.align(again), number_format.align(codes))
        canonical = oracle.canonical_codes(number_format)
        assert again.tolist() == [canonical[v] for v in number_format.align(codes).tolist()]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("bits", [2, 3, 5, 8])
def test_encode_equals_rational_arithmetic(bits: int, rounding: str, dtype: type[np.floating]) -> None:
    chosen = [
        pq.Uniform(bits, 0.0137, rounding),
        pq.Uniform(bits, 1.0, rounding),
        *asymmetric(bits, rounding),
        *(pq.TwinSoftmax(bits, shift, rounding) for shift in (0, 1, 4, bits, 11)),
        *(pq.TwinGELU(bits, shift, 0.0013, rounding) for shift in (0, 3, 7)),
    ]
    for number_format in chosen:
        reals = oracle.probes(number_format, dtype)
        expected = [oracle.aligned(x, number_format) for x in reals]
        codes = number_format.encode(reals)
        assert number_format.align(codes).tolist() == expected, number_format
        canonical = oracle.canonical_codes(number_format)
        assert codes.tolist() == [canonical[value] for value in expected]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bits", [2, 3, 5, 8])
def test_nearest_equals_rational_arithmetic_and_is_never_worse(bits: int, dtype: type[np.floating]) -> None:
    for shift in (0, 1, 4, bits, 11, 24):
        for nearest, paper in (
            (pq.TwinSoftmax(bits, shift, range_choice="nearest"), pq.TwinSoftmax(bits, shift)),
            (pq.TwinGELU(bits, shift, 0.0013, range_choice="nearest"), pq.TwinGELU(bits, shift, 0.0013)),
        ):
            reals = oracle.probes(nearest, dtype)
            codes = nearest.encode(reals)
            expected = [oracle.aligned(x, nearest) for x in reals]
            assert nearest.align(codes).tolist() == expected, nearest
            assert codes.tolist() == [oracle.canonical_codes(nearest)[value] for value in expected]
            quotients = [oracle.quotient(x, nearest.scale) for x in reals]
            for t, near, chosen in zip(quotients, expected, paper.align(paper.encode(reals)).tolist(), strict=True):
                assert abs(t - near) <= abs(t - chosen)


@pytest.mark.parametrize("bits", [9, 12, 16])
def test_wide_codes(bits: int, rng: np.random.Generator) -> None:
    for number_format in (
        pq.Uniform(bits, 0.003),
        pq.TwinSoftmax(bits, 24),
        pq.TwinSoftmax(bits, 32, range_choice="nearest"),
        pq.TwinGELU(bits, 9, 1e-5),
    ):
        codes = rng.integers(0, 1 << bits, 400).astype(np.uint16)
        assert number_format.code_dtype == np.uint16
        expected = [pq.reference.operand(code, number_format).aligned for code in codes.tolist()]
        assert number_format.align(codes).tolist() == expected
        again = number_format.encode(number_format.decode(codes))
        assert again.dtype == np.uint16
        assert number_format.align(again).tolist() == expected
        for dtype in (np.float32, np.float64):
            reals = (rng.uniform(-0.3, 1.3, 200) ** 3).astype(dtype)
            found = number_format.align(number_format.encode(reals)).tolist()
            if number_format.kind != "twin_softmax" or number_format.range_choice == "paper":
                assert found == [oracle.aligned(x, number_format) for x in reals]
            else:
                table = number_format.aligned_table().astype(np.float64)
                least = [np.abs(float(x) / number_format.scale - table).min() for x in reals]
                errors = [abs(float(x) / number_format.scale - v) for x, v in zip(reals, found, strict=True)]
                assert errors == least


def test_float32_fake_quantization_is_bit_equal(rng: np.random.Generator) -> None:
    reals = rng.normal(size=100_000).astype(np.float32)
    for bits in (2, 4, 6, 8, 10):
        scale = np.float32(rng.uniform(0.001, 0.3))
        half = 1 << (bits - 1)
        fake = np.clip(np.rint(reals / scale), -half, half - 1) * scale
        simulated = pq.quantize(reals, pq.Uniform(bits, float(scale))).real()
        assert np.array_equal(simulated.astype(np.float32), fake)


def test_paper_rule_has_a_hole_that_nearest_closes() -> None:
    # k = 8, m = 11: from 2**-11 to half a step of R2, which is 2**-8, the paper's rule rounds to zero.
    reals = np.linspace(2.0**-11, np.nextafter(2.0**-8, 0), 1001)
    assert np.all(pq.TwinSoftmax(8, 11).encode(reals) == 0)
    closed = pq.TwinSoftmax(8, 11, range_choice="nearest")
    assert np.all(closed.align(closed.encode(reals)) == 127)


def test_types_shapes_and_layout(rng: np.random.Generator) -> None:
    number_format = pq.Uniform(8, 0.25)
    reals = rng.normal(size=(3, 4, 5))
    for real in (reals, reals.astype(np.float32), reals.astype(np.float16), reals.T, reals[::2, ::-1], reals[:0]):
        codes = number_format.encode(real)
        assert codes.shape == real.shape
        assert codes.dtype == np.uint8
        wide = real.astype(np.float32) if real.dtype == np.float16 else real
        assert np.array_equal(number_format.align(codes), np.clip(np.rint(wide / 0.25), -128, 127))
    assert number_format.encode(1.0).shape == ()
    assert number_format.align(number_format.encode([1, 2, -3])).tolist() == [4, 8, -12]
    assert number_format.align(number_format.encode(np.array([True, False]))).tolist() == [4, 0]
    assert number_format.encode([]).shape == (0,)


def test_encode_does_not_depend_on_threads(rng: np.random.Generator) -> None:
    reals = rng.normal(size=300_001).astype(np.float32)
    before = pq.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3, 7):
            pq.set_num_threads(threads)
            found.append(pq.TwinGELU(8, 4, 0.001).encode(reals))
    finally:
        pq.set_num_threads(before)
    assert all(np.array_equal(found[0], other) for other in found[1:])


@pytest.mark.parametrize("number_format", every_format(6), ids=str)
def test_plain_data_round_trip(number_format: pq.NumberFormat) -> None:
    assert formats.from_dict(json.loads(json.dumps(number_format.to_dict()))) == number_format
    assert hash(number_format) == hash(formats.from_dict(number_format.to_dict()))
