"""Profiles of TFLite against LiteRT and tflite-micro, executed: which rounds how, value by value.

The names of the ways to run are those of `flatbuffer.RUNS`. On processors without AVX2 ruy has other kernels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

import ptqsim as pq
from ptqsim import units
from ptqsim.kernels.runtime import machine
from ptqsim.profiles import TFLITE, TFLITE_16X8, TFLITE_MICRO, TFLITE_MICRO_16X8, TFLITE_REFERENCE, XNNPACK
from tests.profiles.flatbuffer import RUNS, Tensor, model

ROWS, DEPTH, COLUMNS = 1024, 24, 1024
INT8 = {"reference": TFLITE_REFERENCE, "built-in": TFLITE, "XNNPACK": XNNPACK, "micro": TFLITE_MICRO}
WIDE = {"reference": TFLITE_16X8, "built-in": TFLITE_16X8, "XNNPACK": TFLITE_16X8, "micro": TFLITE_MICRO_16X8}
# Powers of two, where ties are many; a factor that is no float32; and one above 1, with which most outputs are clamped.
SCALES = {"ties": (2**-6, 2**-7, 2**-4), "odd": (0.0193, 0.0071, 0.0773), "clamped": (0.0193, 0.0071, 0.0001)}


class Layer(NamedTuple):
    """A fully connected layer: its inputs, and its formats."""

    x: pq.QuantizedArray
    w: pq.QuantizedArray
    out: pq.Uniform
    bias: NDArray[Any]

    def model(self) -> bytes:
        """The layer as TFLite has it, with the weights turned."""
        width, x, w = f"int{self.x.format.bits}", self.x, self.w
        bias = str(self.bias.dtype)
        kind = {"int32": 2, "int64": 4}[bias]  # TensorType
        integers = w.codes.view(np.int8).T
        return model(
            "FULLY_CONNECTED", 11,
            [
                Tensor(x.shape, width, x.format.scale, x.format.zero_point),
                Tensor(integers.shape, "int8", w.format.scale, 0, integers),
                Tensor(self.bias.shape, bias, np.float32(x.format.scale) * np.float32(w.format.scale), 0, self.bias),
            ],
            Tensor((x.shape[0], w.shape[1]), width, self.out.scale, self.out.zero_point),
            quantizedBiasType=kind,
        )  # fmt: skip

    def run(self, how: str) -> NDArray[Any]:
        """The output codes of a library."""
        given = self.x.codes.view(f"int{self.x.format.bits}")
        return RUNS[how](self.model(), given).view(self.out.code_dtype)

    def simulated(self, profile: pq.profiles.Profile) -> NDArray[Any]:
        """The output codes of a profile."""
        acc = profile.matmul(self.x, self.w, statistics=False).acc
        return profile.requantize(acc, self.x.format, self.w.format, self.out, self.bias)


def layer(scales: tuple[float, float, float], bits: int, channels: bool, rng: np.random.Generator) -> Layer:
    """Random codes; in some columns biases with which accumulators of 32 bits wrap, if the result is in int32 then."""
    a_scale, b_scale, out_scale = scales
    zero_points = (-5, 7) if bits == 8 else (0, 0)
    x_format = pq.Uniform(bits, a_scale, zero_point=zero_points[0])
    steps = np.float32(b_scale * rng.uniform(0.5, 1, COLUMNS)).astype(np.float64)
    w_format = pq.Uniform(8, steps, axis=-1) if channels else pq.Uniform(8, b_scale)
    x = pq.QuantizedArray(rng.integers(0, x_format.code_count, (ROWS, DEPTH)).astype(x_format.code_dtype), x_format)
    w = pq.QuantizedArray(rng.integers(-127, 128, (DEPTH, COLUMNS)).astype(np.int8).view(np.uint8), w_format)
    bias = rng.integers(-3000, 3000, COLUMNS)
    if bits == 8 and a_scale * b_scale < out_scale:
        bias[::16], bias[1::16] = 2**31 - 1 - rng.integers(0, 1000, 64), -(2**31) + rng.integers(0, 1000, 64)
    out = pq.Uniform(bits, out_scale, zero_point=zero_points[1])
    return Layer(x, w, out, bias.astype(np.int32 if bits == 8 else np.int64))


@pytest.mark.parametrize("how", INT8)
@pytest.mark.parametrize("channels", [False, True], ids=["tensor", "channel"])
@pytest.mark.parametrize("scales", SCALES.values(), ids=SCALES)
def test_layers_of_8_bits(
    scales: tuple[float, float, float], channels: bool, how: str, rng: np.random.Generator
) -> None:
    """A million outputs each; in an eighth of the columns accumulators wrap, or most outputs are clamped."""
    if how == "built-in" and not machine.PAIRS:
        pytest.skip("no AVX2: ruy has other kernels")
    given = layer(scales, 8, channels, rng)
    assert given.out.code_count == 256
    found = given.run(how)
    expected = given.simulated(INT8[how])
    assert found.size >= 10**6
    assert np.array_equal(found, expected), np.count_nonzero(found != expected)
    sums = given.x.aligned() @ given.w.aligned() + given.bias
    assert np.any(np.abs(sums) >= 2**31) or np.isin(found, (127, 128)).mean() > 0.9


@pytest.mark.parametrize("how", WIDE)
@pytest.mark.parametrize("scales", [(2**-12, 2**-7, 2**-9), (0.000193, 0.0071, 0.00373), (0.000193, 0.0071, 1e-6)])
def test_layers_of_16_by_8_bits(scales: tuple[float, float, float], how: str, rng: np.random.Generator) -> None:
    given = layer(scales, 16, False, rng)
    found, expected = given.run(how), given.simulated(WIDE[how])
    assert found.size >= 10**6
    assert np.array_equal(found, expected), np.count_nonzero(found != expected)


def test_the_four_round_differently(rng: np.random.Generator) -> None:
    """The same layer and four results, so that none of the profiles stands for another."""
    given = layer(SCALES["ties"], 8, False, rng)
    results = [given.simulated(profile) for profile in INT8.values()]
    assert all(np.any(one != other) for n, one in enumerate(results) for other in results[:n])
    wide = layer((2**-12, 2**-7, 2**-9), 16, False, rng)
    assert np.any(wide.simulated(TFLITE_16X8) != wide.simulated(TFLITE_MICRO_16X8))


ADDED = {"gemmlowp": "tflite_double", "half_up": "half_up"}


def added(
    a: NDArray[np.int64], b: NDArray[np.int64], scales: tuple[float, float, float], left: int, rounding: str
) -> NDArray[np.int64]:
    """TFLite's sum: both on one grid, `left` bits finer than the coarser one, and that requantized; three roundings."""
    sa, sb, out = (float(np.float32(scale)) for scale in scales)
    twice = 2 * max(sa, sb)
    terms = [
        pq.Requantizer.of(scale / twice, rounding=rounding).apply(values << left)
        for values, scale in ((a, sa), (b, sb))
    ]
    return pq.Requantizer.of(twice / ((1 << left) * out), rounding=rounding).apply(terms[0] + terms[1])


@pytest.mark.parametrize("how", RUNS)
@pytest.mark.parametrize("bits", [8, 16])
def test_additions(bits: int, how: str, rng: np.random.Generator) -> None:
    """Two roundings each, but half up in XNNPACK, which takes 8 bits alone."""
    low, high, kind = -(1 << (bits - 1)), (1 << (bits - 1)) - 1, f"int{bits}"
    rounding = "half_up" if (how, bits) == ("XNNPACK", 8) else "tflite_double"
    for scales, zeros in (((0.021, 0.034, 0.043), (-7, 12, 5)), ((2**-6, 2**-7, 2**-6), (0, 0, 0))):
        za, zb, zy = zeros if bits == 8 else (0, 0, 0)
        shape = 1, 1 << 19
        a, b = (rng.integers(low, high + 1, shape).astype(kind) for _ in range(2))
        inputs = [Tensor(shape, kind, scales[0], za), Tensor(shape, kind, scales[1], zb)]
        content = model("ADD", 5, inputs, Tensor(shape, kind, scales[2], zy), potScaleInt16=False)
        left = 20 if bits == 8 else 15
        sums = added(a.astype(np.int64) - za, b.astype(np.int64) - zb, scales, left, rounding)
        assert np.array_equal(RUNS[how](content, a, b), np.clip(sums + zy, low, high))


@pytest.mark.parametrize("how", ["reference", "micro"])
@pytest.mark.parametrize("scale", [0.05, 0.11, 2**-4])
def test_softmax(scale: float, how: str, rng: np.random.Generator) -> None:
    """Reference kernels compute gemmlowp's fixed-point softmax of 8 bits, `units.TFLiteSoftmax`; others in floats."""
    x = np.clip(rng.normal(0, 60, (24_576, 48)), -128, 127).astype(np.int8)
    content = model("SOFTMAX", 2, [Tensor(x.shape, "int8", scale, 3)], Tensor(x.shape, "int8", 1 / 256, -128), beta=1.0)
    unit = units.TFLiteSoftmax.from_real(float(np.float32(scale)), pq.Uniform(8, 1 / 256, signed=False), 48)
    expected = unit(x.astype(np.int64))
    assert np.array_equal(RUNS[how](content, x).astype(np.int64) + 128, expected)
    if how == "reference":
        others = [RUNS[each](content, x).astype(np.int64) + 128 for each in ("built-in", "XNNPACK")]
        assert np.array_equal(*others)
        assert np.abs(others[0] - expected).max() == 1
