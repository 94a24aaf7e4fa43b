"""Published formulations: the errors that their papers state, and for TFLite its own outputs."""

from __future__ import annotations

import hashlib
import itertools
import math
from typing import Any

import numpy as np
import pytest
from scipy import special

import ptqsim as pq
from ptqsim import units
from ptqsim.units.reference.fixed_point import EXP_STEPS, exp_of_negative, reciprocal_of_one_plus
from ptqsim.units.reference.shift_exp import shift_exp

TWIN = pq.TwinSoftmax(8, 6)
EXACT = units.Division()
# Codes 0 .. 255 stand for c / 256, as TFLite's do after adding 128.
UNSIGNED = pq.Uniform(9, 1 / 256)


# --- I-ViT ------------------------------------------------------------------------------------------------------------


def test_shift_exp_by_its_definition() -> None:
    """With S = 1/16: log2(e) is 1.4375, so x = -1 is 2**-1.4375, of which 2**-0.4375 becomes 1 - 0.4375 / 2."""
    assert shift_exp(-16, 16, 4) == (-23, 1, 7, 12, 12 << 3)
    assert shift_exp(0, 16, 4) == (0, 0, 0, 16, 16 << 4)
    assert shift_exp(-1000, 16, 4) == (-64, 4, 0, 16, 16)  # exponents end at -N
    assert shift_exp(16, 16, 4) == (23, -2, 9, 11, 11 << 6)  # 2**1.4375 = 2**2 2**-0.5625


def test_shift_exp_is_off_by_the_chord_and_by_its_log2_e() -> None:
    """1 - f / 2 lies above 2**-f by up to 6.2 %, and 1.4375 below log2(e) gives 2**(0.0052 x) more."""
    inverse = 1 << 14
    for score in range(0, -8 * inverse, -997):
        ratio = shift_exp(score, inverse, 15).exponential / (inverse << 15) / math.exp(score / inverse)
        drift = 2 ** (-score / inverse * (math.log2(math.e) - 1.4375))
        assert 0.999 * drift <= ratio <= 1.0616 * drift * 1.001


# --- I-BERT -----------------------------------------------------------------------------------------------------------


def test_i_exp_errs_as_the_paper_says() -> None:
    """I-BERT, section 3.5: the largest distance of i-exp from exp is 1.9e-3."""
    step = 2.0**-12
    unit = units.IExpSoftmax.from_real(step, UNSIGNED, 40000, score_bits=17)
    assert (unit.ln2, unit.vertex) == (2839, 5541)  # ln 2 * 4096 = 2839.13, 1.353 * 4096 = 5541.9
    assert unit.constant == math.floor(0.344 / 0.3585 * 2**24)
    distance = np.arange(0, 40000)
    exponential = unit.trace(-distance)["exponential"] * 0.3585 * step**2
    assert 1.7e-3 < np.abs(exponential - np.exp(-distance * step)).max() < 2.2e-3


def test_i_gelu_errs_as_the_paper_says() -> None:
    """I-BERT, section 3.4 (Table 1): the largest distance of i-GELU from GELU is 0.018."""
    step, fmt = 2.0**-9, pq.Uniform(16, 2.0**-12)
    unit = units.IGELU.from_real(step, pq.Uniform(12, step), fmt, acc_bits=12, multiplier_bits=16)
    acc = np.arange(-(2**11), 2**11)
    real = acc * step * special.ndtr(acc * step)
    assert 0.0165 < np.abs(fmt.decode(unit(acc)) - real).max() < 0.0195


def test_scores_on_eight_bits_are_too_coarse_for_both() -> None:
    """floor(ln 2 / S) and round(1 / S) are small integers: at S = 0.15, 4 in place of 4.62, and 7 of 6.67."""
    assert units.IExpSoftmax.from_real(0.15, TWIN, 64, 8).ln2 == 4
    assert units.Shiftmax.from_real(0.15, TWIN, 64, 8).inverse_step == 7
    for kind, message in ((units.IExpSoftmax, "i-exp divides by"), (units.Shiftmax, "Shiftmax divides by")):
        with pytest.raises(ValueError, match=message):
            kind.from_real(1.5, TWIN, 64, 8)


# --- ITA --------------------------------------------------------------------------------------------------------------


def test_ita_in_one_part_and_in_many() -> None:
    """Scores on ITA's grid: a distance of 32 is a halving, and distances are rounded half up."""
    one = units.Multiplier([1], [5])
    unit = units.ITASoftmax(pq.Uniform(9, 1 / 255), 64, 8, EXACT, one, part=2)
    trace = unit.trace([0, -15, -16, 48, 48, -128])
    assert trace["power"].tolist() == [2, 2, 2, 0, 0, 6]
    assert trace["exponential"].tolist() == [64, 64, 64, 256, 256, 4]
    # Part 1: peak 0, 256 + 256. Part 2: peak 48, 512 >> 2 (48 / 32 = 1.5, up), + 64 + 256. Part 3: + 256 + 4.
    assert trace["total"] == (512 >> 2) + 64 + 256 + 256 + 4
    tripled = units.ITASoftmax(pq.Uniform(9, 1 / 255), 64, 8, EXACT, units.Multiplier([3], [5]))
    assert tripled.trace([0, -15])["product"].tolist() == [0, 45]
    whole = units.ITASoftmax(pq.Uniform(9, 1 / 255), 64, 8, EXACT, one, part=0)
    assert whole.trace([0, -15, -16, 48, 48, -128])["total"] == 64 * 3 + 512 + 4


# --- TFLite -----------------------------------------------------------------------------------------------------------

# SHA-256 of the int8 outputs of LiteRT 2.3.0 (ai-edge-litert, reference kernels) for the inputs of `scores`: length,
# scale of the input, and the digest.
LITERT = [
    (1, 0.05, "c789ff9ff484e04629147daaaeba098323fe800c53b498a6ca360f5a7ffa8850"),
    (7, 0.01, "890e98f771060942ae6bb5c61b433491b8c8763d895b2ca05f990d3c4dac0340"),
    (64, 0.05, "c4781c0f75bc2e3bf36d4ff78b40c6fd97a18714e9ee5e203cd10c8e6e371581"),
    (65, 0.12, "35e7bbc2e70eadb4538687c5301975f5357191bbdd8e4be465bfcdc5cfda2a4c"),
    (197, 0.0625, "acf370a6ea679cb58d8ee71c835279ac00361732dd260f681e64dde247ba3608"),
    (500, 0.03, "ee03cecb38728afee1d077a0606b9f13d8e7a7caaafba55c59197f1cf55a8367"),
    (64, 0.5, "f8622c61506d037906914d459a8910f28e7b49ef57e2bab406080f4ec95b2470"),
    (64, 3.0, "d4dab6c9837dcf0229ae0dd692ed858eb80b8aefe4832927fa7fbe94bff35ba6"),
]  # fmt: skip


def scores(length: int) -> Any:
    rng = np.random.default_rng(length)
    wide, narrow = rng.integers(-128, 128, (200, length)), rng.integers(-20, 21, (200, length))
    return np.concatenate([wide, narrow]).astype(np.int8)


@pytest.mark.parametrize(("length", "scale", "digest"), LITERT)
def test_tflite_gives_the_outputs_of_litert(length: int, scale: float, digest: str) -> None:
    unit = units.TFLiteSoftmax.from_real(float(np.float32(scale)), UNSIGNED, length)
    output = (unit(scores(length)).astype(int) - 128).astype(np.int8)
    assert hashlib.sha256(output.tobytes()).hexdigest() == digest


def test_fixed_point_functions_are_near_the_real_ones() -> None:
    """The series of the exponential about -1/8 ends before x**5 / 120, with x up to 1/8."""
    for a in [0, -1, *range(-(2**31), 0, 2**24 + 12345)]:
        assert exp_of_negative(a) * 2.0**-31 == pytest.approx(math.exp(a * 2.0**-26), abs=0.125**5 / 120 + 2.0**-27)
    for a in range(0, 2**31, 2**24 + 12345):
        assert reciprocal_of_one_plus(a) * 2.0**-31 == pytest.approx(1 / (1 + a * 2.0**-31), abs=2.0**-27)
    for exponent, word in EXP_STEPS:
        assert word == round(math.exp(-(2.0**exponent)) * 2**31)


def test_constants_of_tflite() -> None:
    """0.05 * 2**26 = 3355443.2 = 0.8 * 2**22, and 31 * 2**26 >> 22 = 496."""
    unit = units.TFLiteSoftmax.from_real(0.05, UNSIGNED, 64)
    assert (unit.multiplier, unit.left_shift, unit.least_difference) == (round(0.8 * 2**31), 22, -496)
    for scale, message in ((16.0, "below 16"), (2.0**-27, "below 16")):
        with pytest.raises(ValueError, match=message):
            units.TFLiteSoftmax.from_real(scale, UNSIGNED, 64)
    with pytest.raises(ValueError, match="length must be an integer from 1 to 4095"):
        units.TFLiteSoftmax.from_real(0.05, UNSIGNED, 4096)


# --- all of them ------------------------------------------------------------------------------------------------------


def softmaxes(length: int, bits: int) -> list[units.Unit]:
    return [
        units.Shiftmax.from_real(0.2, TWIN, length, bits, 6),
        units.IExpSoftmax.from_real(0.2, TWIN, length, bits),
        units.ITASoftmax.from_real(0.2, TWIN, length, bits, part=2),
        units.ITASoftmax.from_real(0.2, TWIN, length, bits, part=2, division=units.Division("reciprocal", 24)),
        units.TFLiteSoftmax.from_real(0.12, TWIN, length, bits),
    ]


@pytest.mark.parametrize("which", range(5))
@pytest.mark.parametrize(("length", "bits"), [(2, 6), (3, 4)])
def test_every_row_of_a_small_world(which: int, length: int, bits: int) -> None:
    half = 1 << (bits - 1)
    rows = np.array(list(itertools.product(range(-half, half), repeat=length)))
    check(softmaxes(length, bits)[which], rows)


@pytest.mark.parametrize("kind", [units.ShiftGELU, units.IGELU])
def test_every_pair_of_pre_activations(kind: Any) -> None:
    fmt = pq.TwinGELU(6, 3, 0.01)
    unit = kind.from_real(0.2, pq.Uniform(5, 0.2), fmt, acc_bits=5)
    check(unit, np.array(list(itertools.product(range(-16, 16), repeat=2))))


def check(unit: units.Unit, rows: Any) -> None:
    trace, widths = unit.trace(rows), unit.widths()
    assert np.array_equal(unit(rows), trace["code"])
    for name, interval in widths.items():
        assert interval.lowest <= trace[name].min(), name
        assert trace[name].max() <= interval.highest, name
