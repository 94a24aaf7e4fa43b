"""Profiles of ONNX Runtime against it: MatMulInteger and QLinearMatMul, a million outputs each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ptqsim as pq
from ptqsim.profiles import AVX2_U8S8, ONNXRUNTIME, ONNXRUNTIME_AVX2
from tests.profiles.test_instructions import features

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

ROWS, DEPTH, COLUMNS = 1024, 37, 1024
# x86 processors without VNNI multiply unsigned bytes by signed ones in pairs that saturate.
PAIRS = "avx2" in features() and not {"avx_vnni", "avx512_vnni"} & features()
U8S8 = ONNXRUNTIME_AVX2 if PAIRS else ONNXRUNTIME


def run(operator: str, inputs: dict[str, NDArray[Any]], output: type) -> NDArray[Any]:
    helper = onnx.helper
    kind = helper.np_dtype_to_tensor_dtype
    node = helper.make_node(operator, list(inputs), ["out"])
    given = [helper.make_tensor_value_info(name, kind(x.dtype), x.shape) for name, x in inputs.items()]
    out = [helper.make_tensor_value_info("out", kind(np.dtype(output)), None)]
    graph = helper.make_graph([node], "one", given, out)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: NDArray[Any] = session.run(None, inputs)[0]
    return found


def operand(
    shape: tuple[int, int], fmt: pq.Uniform, rng: np.random.Generator
) -> tuple[pq.QuantizedArray, NDArray[Any]]:
    """Random codes, and the same as ONNX has them."""
    codes = rng.integers(0, 256, shape, dtype=np.uint8)
    return pq.QuantizedArray(codes, fmt), codes.view(np.int8) if fmt.signed else codes


CASES = {  # signed, zero points
    "u8s8": (False, True, 0, 0), "u8s8, zero points": (False, True, 120, -3), "u8u8": (False, False, 7, 200),
    "s8s8": (True, True, 0, 0), "s8s8, zero points": (True, True, -4, 5),
}  # fmt: skip


@pytest.mark.parametrize(("a_signed", "b_signed", "a_zero", "b_zero"), CASES.values(), ids=CASES)
def test_matmul_integer(
    a_signed: bool, b_signed: bool, a_zero: int, b_zero: int, rng: np.random.Generator
) -> None:  # fmt: skip
    profile = U8S8 if (a_signed, b_signed) == (False, True) else ONNXRUNTIME
    a, left = operand((ROWS, DEPTH), pq.Uniform(8, 1.0, signed=a_signed, zero_point=a_zero), rng)
    b, right = operand((DEPTH, COLUMNS), pq.Uniform(8, 1.0, signed=b_signed, zero_point=b_zero), rng)
    zeros = {"a_zero": np.array(a_zero, left.dtype), "b_zero": np.array(b_zero, right.dtype)}
    expected = run("MatMulInteger", {"a": left, "b": right, **zeros}, np.int32)
    found = profile.matmul(a, b, statistics=False).acc
    assert found.size >= 10**6
    assert np.array_equal(found, expected)
    if profile is ONNXRUNTIME_AVX2:
        assert np.array_equal(found, AVX2_U8S8.matmul(a, b, statistics=False).acc)
        assert np.mean(found != a.aligned() @ b.aligned()) > 0.1


@pytest.mark.parametrize("scales", [(2**-6, 2**-7, 2**-3), (0.0193, 0.0071, 0.173), (0.0193, 0.0071, 0.0001)])
@pytest.mark.parametrize("channels", [False, True], ids=["tensor", "columns"])
@pytest.mark.parametrize("signed", [False, True], ids=["u8s8", "s8s8"])
def test_qlinear_matmul(
    signed: bool, channels: bool, scales: tuple[float, float, float], rng: np.random.Generator
) -> None:
    """Zero points, a scale per column, ties of a power of two, and outputs that are clamped."""
    profile = ONNXRUNTIME if signed else U8S8
    a_scale, b_scale, out_scale = (float(np.float32(scale)) for scale in scales)
    steps = np.float32(b_scale * rng.uniform(0.5, 1, COLUMNS)).astype(np.float64)
    a, left = operand((ROWS, DEPTH), pq.Uniform(8, a_scale, signed=signed, zero_point=-5 if signed else 99), rng)
    b_format = pq.Uniform(8, steps, axis=-1) if channels else pq.Uniform(8, b_scale)
    b, right = operand((DEPTH, COLUMNS), b_format, rng)
    out = pq.Uniform(8, out_scale, signed=signed, zero_point=11)
    columns = (COLUMNS,) if channels else ()
    inputs = {
        "a": left, "a_scale": np.array(a_scale, np.float32), "a_zero": np.array(a.format.zero_point, left.dtype),
        "b": right, "b_scale": np.array(b_format.scale, np.float32), "b_zero": np.zeros(columns, right.dtype),
        "out_scale": np.array(out_scale, np.float32), "out_zero": np.array(11, left.dtype),
    }  # fmt: skip
    expected = run("QLinearMatMul", inputs, left.dtype.type).view(np.uint8)
    found = profile.requantize(profile.matmul(a, b, statistics=False).acc, a.format, b_format, out)
    assert found.size >= 10**6
    assert np.array_equal(found, expected), np.count_nonzero(found != expected)
