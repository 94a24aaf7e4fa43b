"""The network as an ONNX graph with one node per quantized operation, to be filled in."""

from __future__ import annotations

import copy
from typing import Any, Final

import torch
from onnx import ModelProto
from torch import nn

from ptqsim.ptq.network.input_size import input_size
from ptqsim.ptq.network.products.operations import MatmulOperation, PatchOperation, WeightOperation
from ptqsim.ptq.network.quantized_model import QuantizedModel

OPSET: Final = 21  # the first whose QuantizeLinear knows 4 and 16 bits
DOMAIN: Final = "ptqsim"
INPUT, OUTPUT = "images", "logits"


def skeleton(quantized: QuantizedModel) -> ModelProto:
    """The float parts as torch exports them; every operation is a node ``ptqsim::Product`` with attribute ``layer``.

    The batch is dynamic.

    Raises
    ------
    ValueError
        Where torch is too old.
    """
    if not hasattr(torch.onnx, "ops"):
        raise ValueError(f"export to ONNX needs torch 2.8 or later, this is {torch.__version__}: upgrade torch")
    # deepcopy takes what its memo holds for the copy, so that no weight is copied
    memo: dict[int, Any] = {id(op): _Placeholder(op) for op in quantized.layers.values()}
    network = copy.deepcopy(quantized.model, memo).cpu()
    program = torch.onnx.export(
        network,
        (torch.zeros(2, *input_size(quantized.model)),),
        dynamo=True,
        opset_version=OPSET,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        input_names=[INPUT],
        output_names=[OUTPUT],
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    return program.model_proto


class _Placeholder(nn.Module):
    """Stands for an operation: its name, and the shape of its output."""

    def __init__(self, op: MatmulOperation) -> None:
        super().__init__()
        self.layer = op.name
        self.patch = op.patch if isinstance(op, PatchOperation) else None
        self.outputs = op.weight.shape[0] if isinstance(op, WeightOperation) else None

    def forward(self, a: torch.Tensor, b: torch.Tensor | None = None) -> torch.Tensor:
        inputs = (a,) if b is None else (a, b)
        return torch.onnx.ops.symbolic(
            f"{DOMAIN}::Product", inputs, {"layer": self.layer}, dtype=a.dtype, shape=self._shape(*inputs), version=1
        )

    def _shape(self, a: torch.Tensor, b: torch.Tensor | None = None) -> list[Any]:
        if self.patch is not None:
            return [a.shape[0], self.outputs, a.shape[2] // self.patch[0], a.shape[3] // self.patch[1]]
        return [*a.shape[:-1], self.outputs if b is None else b.shape[-1]]
