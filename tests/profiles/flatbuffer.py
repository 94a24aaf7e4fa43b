"""TFLite models of one operator each, built from the schema that LiteRT ships, and run in LiteRT and tflite-micro."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

flatbuffers = pytest.importorskip("flatbuffers", reason="ai-edge-litert is not installed (dependency group deployed)")
schema = pytest.importorskip("ai_edge_litert.schema_py_generated", reason="ai-edge-litert is not installed")
interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")

_TYPES = {"int8": "INT8", "int16": "INT16", "int32": "INT32", "int64": "INT64"}


class Tensor(NamedTuple):
    """A tensor: its shape, its type, scales with the zero point, and its values if they are constant."""

    shape: tuple[int, ...]
    dtype: str
    scale: Any
    zero_point: int = 0
    values: NDArray[Any] | None = None


def model(operator: str, version: int, inputs: list[Tensor], output: Tensor, **options: Any) -> bytes:
    """A model of one operator; `options` are fields of its options."""
    root = schema.ModelT()
    root.version, root.description, root.buffers = 3, "one operator", [schema.BufferT()]
    graph = schema.SubGraphT()
    graph.name, graph.tensors = "main", []
    for tensor in (*inputs, output):
        graph.tensors.append(_tensor(root, tensor))
    graph.inputs = [index for index, tensor in enumerate(inputs) if tensor.values is None]
    graph.outputs = [len(inputs)]
    kind = f"{operator.title().replace('_', '')}Options"
    step = schema.OperatorT()
    step.opcodeIndex, step.inputs, step.outputs = 0, list(range(len(inputs))), graph.outputs
    step.builtinOptionsType, step.builtinOptions = getattr(schema.BuiltinOptions, kind), getattr(schema, f"{kind}T")()
    for name, value in options.items():
        setattr(step.builtinOptions, name, value)
    graph.operators, root.subgraphs = [step], [graph]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, operator)
    code.version = version
    root.operatorCodes = [code]
    builder = flatbuffers.Builder(1024)
    builder.Finish(root.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(root: Any, given: Tensor) -> Any:
    made, quantization = schema.TensorT(), schema.QuantizationParametersT()
    made.name, made.shape, made.buffer = "tensor", list(given.shape), 0
    made.type = getattr(schema.TensorType, _TYPES[given.dtype])
    quantization.scale = np.atleast_1d(np.asarray(given.scale, np.float32))
    quantization.zeroPoint = np.full(len(quantization.scale), given.zero_point, np.int64)
    made.quantization = quantization
    if given.values is not None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(given.values, given.dtype).tobytes(), np.uint8)
        root.buffers.append(buffer)
        made.buffer = len(root.buffers) - 1
    return made


def _litert(resolver: str) -> Callable[..., NDArray[Any]]:
    def run(content: bytes, *inputs: NDArray[Any]) -> NDArray[Any]:
        kind = getattr(interpreter.OpResolverType, resolver)
        machine = interpreter.Interpreter(
            model_content=content, experimental_op_resolver_type=kind, num_threads=1
        )  # fmt: skip
        machine.allocate_tensors()
        for given, values in zip(machine.get_input_details(), inputs, strict=True):
            machine.set_tensor(given["index"], values)
        machine.invoke()
        found: NDArray[Any] = machine.get_tensor(machine.get_output_details()[0]["index"])
        return found

    return run


def _micro(content: bytes, *inputs: NDArray[Any]) -> NDArray[Any]:
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime", reason="tflite-micro is not installed")
    machine = runtime.Interpreter.from_bytes(content, arena_size=1 << 25)
    for index, values in enumerate(inputs):
        machine.set_input(values, index)
    machine.invoke()
    found: NDArray[Any] = machine.get_output(0)
    return found


RUNS: dict[str, Callable[..., NDArray[Any]]] = {
    "reference": _litert("BUILTIN_REF"),
    "built-in": _litert("BUILTIN_WITHOUT_DEFAULT_DELEGATES"),
    "XNNPACK": _litert("AUTO"),
    "micro": _micro,
}
"""Ways to run a model: LiteRT's reference kernels, its built-in ones, its default with XNNPACK, and tflite-micro."""
