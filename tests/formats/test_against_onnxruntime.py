"""Unsigned and asymmetric codes, and their products, against ONNX Runtime: an implementation by others."""

from __future__ import annotations

import numpy as np
import pytest

import ptqsim as pq

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

TYPES = {(8, True): np.int8, (8, False): np.uint8, (16, True): np.int16, (16, False): np.uint16}


def run(operator: str, inputs: dict[str, np.ndarray], output: type) -> np.ndarray:
    """One operator on some inputs."""
    helper = onnx.helper
    kind = helper.np_dtype_to_tensor_dtype
    node = helper.make_node(operator, list(inputs), ["out"])
    given = [helper.make_tensor_value_info(name, kind(x.dtype), x.shape) for name, x in inputs.items()]
    out = [helper.make_tensor_value_info("out", kind(np.dtype(output)), None)]
    graph = helper.make_graph([node], "one", given, out)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


@pytest.mark.parametrize(("bits", "signed", "zero_point"), [
    (8, True, 0), (8, True, -128), (8, True, 127), (8, False, 0), (8, False, 113), (8, False, 255),
    (16, True, -32768), (16, False, 1), (16, False, 65535),
])  # fmt: skip
def test_codes_are_those_of_quantize_linear(bits: int, signed: bool, zero_point: int, rng: np.random.Generator) -> None:
    """Random reals, ties among them, and far outside; and back by DequantizeLinear, whose product is in float32."""
    kind = TYPES[bits, signed]
    uniform = pq.Uniform(bits, 0.125, signed=signed, zero_point=zero_point)
    reals = np.concatenate([
        rng.normal(0, 40 if bits == 8 else 5000, 4000),
        (np.arange(-300, 300) + 0.5) * 0.125,
        [1e9, -1e9, 0.0, -0.0],
    ]).astype(np.float32)  # fmt: skip
    scale, zero = np.array(0.125, np.float32), np.array(zero_point, kind)
    codes = run("QuantizeLinear", {"x": reals, "scale": scale, "zero": zero}, kind)
    assert uniform.encode(reals).tolist() == codes.view(uniform.code_dtype).tolist()
    decoded = run("DequantizeLinear", {"x": codes, "scale": scale, "zero": zero}, np.float32)
    assert uniform.decode(codes.view(uniform.code_dtype)).tolist() == decoded.tolist()


@pytest.mark.parametrize(("left", "right"), [(0, 0), (113, 0), (0, 200), (113, 200), (255, 255)])
def test_products_are_those_of_matmul_integer(left: int, right: int, rng: np.random.Generator) -> None:
    """Unsigned by unsigned, in the 32 bits of either, from both datapaths.

    With signed weights ONNX Runtime saturates pairs in 16 bits on processors without VNNI, if they are large; these are
    not.
    """
    a = pq.QuantizedArray(rng.integers(0, 256, (37, 150)), pq.Uniform(8, 1.0, signed=False, zero_point=left))
    for signed in (False, True):
        zero = right // 4 - 30 if signed else right
        b_format = pq.Uniform(8, 1.0, signed=signed, zero_point=zero)
        integers = rng.integers(-64, 64, (150, 101)) if signed else rng.integers(0, 256, (150, 101))
        b = pq.QuantizedArray(integers % 256, b_format)
        kind = TYPES[8, signed]
        inputs = {
            "a": a.codes.copy(), "b": integers.astype(kind),
            "za": np.array(left, np.uint8), "zb": np.array(zero, kind),
        }  # fmt: skip
        expected = run("MatMulInteger", inputs, np.int32)
        for place in ("operand", "correction"):
            for overflow in ("wrap", "saturate"):
                result = pq.matmul(a, b, pq.Accumulator(32, overflow, zero_point=place))
                assert np.array_equal(result.acc, expected)
