"""Products of arrays that stay in place: those of `matmul` of what the arrays hold."""

from __future__ import annotations

import numpy as np
import pytest

import ptqsim as pq
from ptqsim.gemm import fixed
from ptqsim.gemm.fixed import Sides, fixed_product
from ptqsim.gemm.integers import integer_kernels
from ptqsim.kernels.runtime import machine

FORMATS = {
    "uniform": pq.Uniform(6, 0.1),
    "bytes": pq.Uniform(8, 0.1),
    "zero point": pq.Uniform(7, 0.1, zero_point=-9),
    "unsigned": pq.Uniform(8, 0.1, signed=False),
    "wide": pq.Uniform(11, 0.1),
    "softmax": pq.TwinSoftmax(6, 5),
    "gelu": pq.TwinGELU(7, 4, 0.1),
}
REGISTERS = [pq.Accumulator(32), pq.Accumulator(13), pq.Accumulator(14, "saturate"), pq.Accumulator(12, order="tree:4")]


def proven(a: pq.NumberFormat, b: pq.NumberFormat, depth: int) -> int:
    return min(32, pq.required_bits(a, b, depth))


def draw(rng: np.random.Generator, fmt: pq.NumberFormat, shape: tuple[int, ...]) -> np.ndarray:
    return rng.integers(0, fmt.code_count, shape).astype(fmt.code_dtype)


@pytest.mark.parametrize("b", ["uniform", "bytes", "zero point", "unsigned", "wide", "gelu"])
@pytest.mark.parametrize("a", FORMATS)
def test_equals_matmul(a: str, b: str) -> None:
    rng = np.random.default_rng(0)
    left_format, right_format = FORMATS[a], FORMATS[b]
    for count, m, k, n in ((1, 17, 9, 98), (3, 5, 130, 7)):
        bits = proven(left_format, right_format, k)
        left, right = np.empty((count, m, k), left_format.code_dtype), np.empty((count, k, n), right_format.code_dtype)
        rows = np.empty((count, n, k), right_format.code_dtype)
        weights = pq.QuantizedArray(draw(rng, right_format, (k, n)), right_format)
        formats = [left_format] * count, [right_format] * count
        for register in REGISTERS:
            outs = [np.empty((count, m, n), np.int32) for _ in range(2)]
            of_weights = np.empty((1, m, n), np.int32)
            calls = [
                fixed_product(Sides(left, formats[0], right, formats[1]), register, bits, outs[0]),
                fixed_product(Sides(left, formats[0], rows, formats[1], True), register, bits, outs[1]),
                fixed_product(Sides(left[:1], formats[0][:1], weights), register, bits, of_weights),
            ]
            for _ in range(2):
                left[:], right[:] = draw(rng, left_format, left.shape), draw(rng, right_format, right.shape)
                rows[:] = right.swapaxes(1, 2)
                with integer_kernels():
                    for call in calls:
                        call()
                wanted = pq.matmul(
                    pq.QuantizedArray(left, left_format), pq.QuantizedArray(right, right_format), register, False
                ).acc
                assert np.array_equal(outs[0], wanted)
                assert np.array_equal(outs[1], wanted)
                wanted = pq.matmul(pq.QuantizedArray(left[:1], left_format), weights, register, False).acc
                assert np.array_equal(of_weights, wanted)


@pytest.mark.parametrize(
    "others", [pq.TwinSoftmax(6, 2), pq.TwinSoftmax(6, 0), pq.Uniform(6, 0.1), pq.Uniform(6, 0.1, zero_point=3)]
)
def test_matrices_of_different_formats(others: pq.NumberFormat) -> None:
    rng = np.random.default_rng(1)
    formats, right_format = [pq.TwinSoftmax(6, 5), others, pq.TwinSoftmax(6, 5)], pq.Uniform(6, 0.1)
    left = np.stack([draw(rng, fmt, (9, 20)) for fmt in formats])
    right, acc = draw(rng, right_format, (3, 20, 11)), np.empty((3, 9, 11), np.int32)
    fixed_product(Sides(left, formats, right, [right_format] * 3), pq.Accumulator(32), 32, acc)()
    for i, fmt in enumerate(formats):
        product = pq.matmul(
            pq.QuantizedArray(left[i], fmt), pq.QuantizedArray(right[i], right_format), pq.Accumulator(32)
        )
        assert np.array_equal(acc[i], product.acc)


def test_a_certificate_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums are stepped if the proven width is beyond the register; else nothing is."""
    stepped = []
    right = fixed._in_steps
    monkeypatch.setattr(fixed, "_in_steps", lambda *given: stepped.append(1) or right(*given))
    fmt = pq.Uniform(6, 0.1)
    sides = Sides(np.full((1, 2, 8), 31, np.uint8), [fmt], pq.QuantizedArray(np.full((8, 3), 31), fmt))
    acc = np.empty((1, 2, 3), np.int32)
    for register, wanted, steps in (
        (pq.Accumulator(14, "saturate"), 7688, 0), (pq.Accumulator(13, "saturate"), 4095, 1),
        (pq.Accumulator(13), 7688 - 8192, 0), (pq.Accumulator(13, order="split:2:12"), None, 1),
        (pq.Accumulator(14, "trap"), 7688, 0),
    ):  # fmt: skip
        stepped.clear()
        fixed_product(sides, register, 14, acc)()
        assert len(stepped) == (steps if machine.PAIRS and not machine.MATRIX else 1)
        assert wanted is None or (acc == wanted).all()
