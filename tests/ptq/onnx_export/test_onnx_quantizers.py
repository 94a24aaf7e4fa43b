"""The operators written for each format round as fake quantization does, to the last bit, in ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper

import ptqsim as pq
from ptqsim import ptq
from ptqsim.formats import ReleasedTwinGELU, ReleasedTwinSoftmax
from ptqsim.ptq.network.convolutions.operation import ConvOperation
from ptqsim.ptq.network.products.fake_quant import Format, fake_quantize
from ptqsim.ptq.network.products.operations import AttentionMatmul, OperandFormats
from ptqsim.ptq.onnx_export.nodes import Nodes
from ptqsim.ptq.onnx_export.operands import TYPES, Storage, plan
from ptqsim.ptq.onnx_export.quantizers import quantize_dequantize

BITS = [2, 3, 4, 5, 6, 8, 9, 12, 16]


def single(scale: float) -> float:
    """The nearest float32, as every scale that calibration chooses is one: ONNX multiplies in that type."""
    return float(np.float32(scale))


def run(formats: tuple[Format, ...], x: NDArray[np.float32]) -> tuple[NDArray[np.float32], onnx.GraphProto]:
    nodes = Nodes("layer")
    out = quantize_dequantize(nodes, "x", "A", formats)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name in ("x", out)]
    graph = helper.make_graph(nodes.nodes, "one", ends[:1], ends[1:], nodes.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0], graph


def difficult(formats: tuple[Format, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """[2, G, 40, 41] for each format: reals of every size, points, middles between them, and their neighbors."""
    groups = []
    for fmt in formats:
        coarse = fmt.scale * 2.0**fmt.shift
        split = fmt.scale * 2.0 ** (fmt.bits - 1)
        whole = rng.integers(-(2**fmt.bits), 2**fmt.bits, 400)
        exact = np.concatenate([s * (whole + half) for s in (fmt.scale, coarse) for half in (0, 0.5)])
        exact = np.concatenate([exact, [0.0, -0.0, split, 1.0, 1e30, -1e30, 1e-30, -1e-30]]).astype(np.float32)
        near = [np.nextafter(exact, np.float32(side)) for side in (-np.inf, np.inf)]
        values = np.concatenate([exact, *near, rng.normal(0, split, 1000), rng.uniform(0, 1, 1000)])
        groups.append(rng.choice(values.astype(np.float32), (2, 40, 41)))
    return np.stack(groups, axis=1)


def check(formats: tuple[Format, ...], rng: np.random.Generator, *, negative: bool = True) -> onnx.GraphProto:
    x = difficult(formats, rng)
    x = x if negative else np.abs(x)
    found, graph = run(formats, x)
    expected = fake_quantize(torch.from_numpy(x).transpose(0, 1), formats).transpose(0, 1).numpy()
    np.testing.assert_array_equal(found, expected)
    assert len(np.unique(found)) > 2
    return graph


@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("bits", BITS)
def test_uniform(bits: int, heads: int, rng: np.random.Generator) -> None:
    graph = check(tuple(pq.Uniform(bits, single(scale)) for scale in (0.25, 0.0371, 1.7)[:heads]), rng)
    operators = [node.op_type for node in graph.node]
    assert (operators[0], operators[-1]) == ("QuantizeLinear", "DequantizeLinear")
    if bits in (4, 8, 16):  # the type's own range is the format's
        assert len(operators) == 2
    elif bits < 8:
        assert operators == ["QuantizeLinear", "Clip", "DequantizeLinear"]


@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("bits", BITS)
def test_uniform_with_zero_points(bits: int, signed: bool, heads: int, rng: np.random.Generator) -> None:
    low, high = pq.Uniform(bits, 1.0, signed=signed).code_range
    made = zip((0.25, 0.0371, 1.7), (low, high, (low + high) // 3), strict=True)
    formats = tuple(pq.Uniform(bits, single(scale), signed=signed, zero_point=zero) for scale, zero in made)
    graph = check(formats[:heads], rng)
    assert [node.op_type for node in graph.node][:: len(graph.node) - 1] == ["QuantizeLinear", "DequantizeLinear"]


@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("range_choice", ["paper", "nearest"])
@pytest.mark.parametrize("bits", BITS)
def test_twin_softmax(bits: int, range_choice: str, heads: int, rng: np.random.Generator) -> None:
    formats = tuple(pq.TwinSoftmax(bits, m, range_choice=range_choice) for m in (3, 0, 11)[:heads])
    check(formats, rng, negative=False)
    check(formats, rng)


@pytest.mark.parametrize("range_choice", ["paper", "nearest"])
@pytest.mark.parametrize("bits", BITS)
def test_twin_gelu(bits: int, range_choice: str, rng: np.random.Generator) -> None:
    check((pq.TwinGELU(bits, 4, single(0.0013), range_choice=range_choice),), rng)
    check((pq.TwinGELU(bits, 2, 0.25, range_choice=range_choice),), rng)


@pytest.mark.parametrize("bits", BITS)
def test_released_formats(bits: int, rng: np.random.Generator) -> None:
    check((ReleasedTwinSoftmax(bits, split=0.03), ReleasedTwinSoftmax(bits, split=0.25)), rng, negative=False)
    check((ReleasedTwinGELU(bits, 0.04, 0.005),), rng)


def test_ties_round_half_to_even_here_and_there(rng: np.random.Generator) -> None:
    """On exact ties the roundings of the formats part ways; ONNX's is the default of ours."""
    whole = np.arange(-20, 20, dtype=np.float32)
    x = ((whole + np.float32(0.5)) * np.float32(0.25)).reshape(1, 1, 1, -1)
    found, _ = run((pq.Uniform(8, 0.25),), x)
    for rounding, differ in {"half_even": 0, "half_away": 20, "half_up": 20, "toward_zero": 20}.items():
        fmt = pq.Uniform(8, 0.25, rounding=rounding)
        assert int((fmt.decode(fmt.encode(x)) != found).sum()) == differ
    off = rng.normal(size=(1, 1, 10, 1000)).astype(np.float32)  # of reals that are no ties, none differ
    codes = np.rint(run((pq.Uniform(8, 0.0371),), off)[0] / np.float32(0.0371))
    for rounding in ("half_away", "half_up"):
        fmt = pq.Uniform(8, 0.0371, rounding=rounding)
        np.testing.assert_array_equal(fmt.align(fmt.encode(off)), codes)


@pytest.mark.parametrize(
    ("low", "high", "activation", "weight"),
    [
        (-2, 1, "int8", "int4"), (-4, 3, "int8", "int4"), (-8, 7, "int4", "int4"), (-16, 15, "int8", "int8"),
        (-128, 127, "int8", "int8"), (-256, 255, "int16", "int16"), (-(2**15), 2**15 - 1, "int16", "int16"),
        (0, 7, "uint8", "uint4"), (0, 15, "uint4", "uint4"), (0, 127, "uint8", "uint8"), (0, 255, "uint8", "uint8"),
        (0, 2**15 - 1, "uint16", "uint16"), (-7, 0, "int8", "int4"), (-255, 0, "int16", "int16"),
    ],
)  # fmt: skip
def test_storage(low: int, high: int, activation: str, weight: str) -> None:
    stored = Storage.of_activation(low, high)
    assert stored.kind == activation
    assert stored.clip == ((low, high) != TYPES[activation])
    assert not (stored.clip and stored.kind.endswith("int4"))  # ONNX's Clip knows no 4-bit integers
    assert Storage.of_weight(low, high).kind == weight


def planned(a: Any) -> tuple[str, str, str]:
    """Export of a left operand: how, its reason, and how with other formats in float."""
    op = AttentionMatmul("x", "matmul_pv", heads=2)
    b = pq.Uniform(8, 1.0)
    op.formats = OperandFormats(a, (b, b))
    operand = plan(op, "explicit")[0]
    return operand.how, operand.reason, plan(op, "float")[0].how


def test_what_onnx_cannot_say_is_named() -> None:
    assert planned((pq.Uniform(5, 1.0), pq.Uniform(5, 2.0))) == ("q_dq", "", "q_dq")
    how, reason, other = planned((pq.TwinSoftmax(5, 2), pq.TwinSoftmax(5, 3)))
    assert (how, other) == ("explicit", "float")
    assert "twin softmax has two" in reason
    for a, words in (
        ((pq.Uniform(5, 1.0, rounding="half_away"),) * 2, "not half_away"),
        ((pq.TwinGELU(5, 2, 1.0, rounding="half_up"),) * 2, "not half_up"),
        ((pq.Uniform(5, 1.0), pq.Uniform(6, 1.0)), "groups differ"),
        ((pq.Log2(4),) * 2, "no Log2"),
        ((pq.E4M3,) * 2, "no Minifloat"),
        ((pq.PWLQ(4, 0.1, 1.0, 0.7),) * 2, "no PWLQ"),
    ):
        how, reason, other = planned(a)
        assert (how, other) == ("float", "float")
        assert words in reason


def test_a_convolution_that_is_no_patch_projection_is_refused_by_name() -> None:
    op = ConvOperation("backbone.conv1", torch.nn.Conv2d(3, 4, 3, padding=1))
    with pytest.raises(ValueError, match=r"'backbone.conv1' is of kind 'conv'"):
        plan(op, "explicit")


def test_an_unknown_choice_suggests_the_nearest() -> None:
    op = AttentionMatmul("x", "matmul_qk", heads=1)
    with pytest.raises(ValueError, match="calibrate the model before exporting"):
        plan(op, "float")
    with pytest.raises(ValueError, match="Did you mean 'explicit'"):
        ptq.export_onnx(ptq.QuantizedModel.__new__(ptq.QuantizedModel), "m.onnx", other_formats="explict")
