"""The operators of one layer: both operands quantized, their product, the bias."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptqsim.ptq.network.products.blocked import plain_codes
from ptqsim.ptq.network.products.fake_quant import decode_codes
from ptqsim.ptq.network.products.operations import MatmulOperation, PatchOperation, WeightOperation
from ptqsim.ptq.onnx_export.nodes import Nodes
from ptqsim.ptq.onnx_export.quantizers import quantize_dequantize
from ptqsim.ptq.onnx_export.report import LayerExport


@dataclass(frozen=True)
class Values:
    """Names of a layer's values in the graph: what comes in, both operands as multiplied, and what goes out."""

    inputs: list[str]
    operands: list[str]
    output: str


def expand(op: MatmulOperation, export: LayerExport, inputs: Sequence[str], output: str) -> tuple[Nodes, Values]:
    """The nodes of one operation.

    Parameters
    ----------
    op : MatmulOperation
        With formats.
    export : LayerExport
        Export plan of its operands.
    inputs : sequence of str
        Its input, or both of an attention product.
    output : str
        Name of its output.
    """
    assert op.formats is not None  # the plan has seen it
    nodes = Nodes(op.name)
    a = inputs[0] if export.a.how == "float" else quantize_dequantize(nodes, inputs[0], "A", op.formats.a)
    if isinstance(op, WeightOperation):
        b = _weight(nodes, op, export)
        _weighted(nodes, op, a, b, output)
    else:
        b = inputs[1] if export.b.how == "float" else quantize_dequantize(nodes, inputs[1], "B", op.formats.b)
        nodes.add("MatMul", [a, b], "MatMul", output=output)
    return nodes, Values(list(inputs), [a, b], output)


def _weight(nodes: Nodes, op: WeightOperation, export: LayerExport) -> str:
    """The weight [K, N] of a MatMul, or [N, C, p, q] of a Conv: stored codes behind a DequantizeLinear, or reals."""
    if export.b.how != "q_dq":
        groups = op.constant_b if export.b.how == "float" else decode_codes(op.weight_codes, op.constant_b)
        return nodes.real("B", _laid_out(op, list(groups.cpu().numpy())))
    codes = plain_codes(op.weight_codes)
    integers = [c.aligned() + c.format.zero_point for c in codes]
    stored = nodes.integer("B/codes", _laid_out(op, integers), export.b.storage)
    one = len(codes) == 1 and codes[0].format.axis is None
    # The groups are blocks of columns.
    per_column = np.concatenate([np.broadcast_to(c.format.steps, c.shape[1]) for c in codes]).astype(np.float32)
    zeros = np.repeat(np.array([c.format.zero_point for c in codes], np.int64), [c.shape[1] for c in codes])
    scale: NDArray[Any] = per_column[0].reshape(()) if one else per_column
    zero_point: NDArray[Any] = zeros[0].reshape(()) if one else zeros
    axis: dict[str, Any] = {} if one else {"axis": 0 if isinstance(op, PatchOperation) else 1}
    s = nodes.real("B/scale", scale)
    zero = nodes.integer("B/zero_point", zero_point, export.b.storage)
    return nodes.add("DequantizeLinear", [stored, s, zero], "B", **axis)


def _laid_out(op: WeightOperation, groups: list[NDArray[Any]]) -> NDArray[Any]:
    """One [K, N / G] per group -> [K, N], or [N, C, p, q] of a patch projection."""
    matrix = np.concatenate(groups, axis=1)
    return matrix.T.reshape(op.weight.shape) if isinstance(op, PatchOperation) else matrix


def _weighted(nodes: Nodes, op: WeightOperation, a: str, b: str, output: str) -> None:
    tensor = op.bias if op.corrected_bias is None else op.corrected_bias
    bias = None if tensor is None else nodes.real("bias", tensor.detach().cpu().numpy())
    if isinstance(op, PatchOperation):
        inputs = [a, b] if bias is None else [a, b, bias]
        nodes.add("Conv", inputs, "Conv", output=output, kernel_shape=list(op.patch), strides=list(op.patch))
    elif bias is None:
        nodes.add("MatMul", [a, b], "MatMul", output=output)
    else:
        nodes.add("Add", [nodes.add("MatMul", [a, b], "MatMul"), bias], "Add", output=output)
