"""One layer of an exported file against the operation that it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import ptqsim as pq
from ptqsim.ptq.network.products.blocked import plain_formats
from ptqsim.ptq.network.products.fake_quant import Format, decode_codes, fake_quantize, per_group
from ptqsim.ptq.network.products.operations import MatmulOperation, PatchOperation, WeightOperation
from ptqsim.ptq.onnx_export.report import LayerCheck

Tensors = tuple[torch.Tensor, ...]


class LayerComparison:
    """Sums up one layer's differences over batches.

    Parameters
    ----------
    op : MatmulOperation
        In fake_quant mode while batches are added.
    layer : mapping
        Entry of the layer in the file's metadata.
    """

    def __init__(self, op: MatmulOperation, layer: Mapping[str, Any]) -> None:
        self.op = op
        self.names = layer["values"]
        self.quantized = [layer[side]["how"] != "float" for side in ("a", "b")]
        self.values = self.mismatches = self.ties = self.activations = self.moved = 0
        self.same_input = self.largest = self.squares = self.reference_squares = 0.0
        self.weight_seen = False

    def add(self, found: Mapping[str, NDArray[Any]], inputs: Tensors, output: torch.Tensor) -> None:
        """A batch: ONNX Runtime's values by name, and what went in and out of the operation in our own run."""
        theirs = tuple(_tensor(found[name], output) for name in self.names["inputs"])
        for x, own, name, formats, quantized in zip(
            theirs, inputs, self.names["operands"], self._formats(), self.quantized, strict=False
        ):
            if not quantized:
                continue
            rounded = _tensor(found[name], output)
            self._count(rounded, _rounded(self.op, x, formats))
            self.ties += count_ties(_grouped(self.op, x), formats)
            self.activations += x.numel()
            self.moved += int((rounded != _rounded(self.op, own, formats)).sum())
        self._count_weight(found)
        self._add_output(_tensor(found[self.names["output"]], output), theirs, output)

    def result(self) -> LayerCheck:
        """Comparison over all batches."""
        return LayerCheck(
            kind=self.op.kind,
            quantized=all(self.quantized),
            values=self.values,
            mismatches=self.mismatches,
            ties=self.ties,
            same_input=self.same_input,
            activations=self.activations,
            moved=self.moved,
            largest=self.largest,
            relative=(self.squares / self.reference_squares) ** 0.5 if self.reference_squares else self.squares**0.5,
        )

    def _formats(self) -> tuple[tuple[Format, ...], tuple[Format, ...]]:
        assert self.op.formats is not None  # compared with the file's when that was read
        return self.op.formats.a, self.op.formats.b

    def _count(self, theirs: torch.Tensor, ours: torch.Tensor) -> None:
        self.values += ours.numel()
        self.mismatches += int((theirs != ours).sum())

    def _count_weight(self, found: Mapping[str, NDArray[Any]]) -> None:
        """Once: the weight that a DequantizeLinear makes of the stored codes; a constant has no value at run time."""
        name = self.names["operands"][1]
        if self.weight_seen or not isinstance(self.op, WeightOperation) or name not in found:
            return
        decoded = decode_codes(self.op.weight_codes, self.op.constant_b)  # [G, K, N / G]
        matrix = decoded.transpose(0, 1).flatten(1)  # [K, N]
        ours = matrix.T.reshape(self.op.weight.shape) if isinstance(self.op, PatchOperation) else matrix
        self._count(_tensor(found[name], ours), ours)
        self.weight_seen = True

    def _add_output(self, theirs: torch.Tensor, inputs: Tensors, ours: torch.Tensor) -> None:
        with torch.no_grad():
            from_same = self.op.forward(*inputs)
        scale = max(float(from_same.abs().max()), float(torch.finfo(ours.dtype).tiny))
        self.same_input = max(self.same_input, float((theirs - from_same).abs().max()) / scale)
        difference = (theirs - ours).double()
        self.largest = max(self.largest, float(difference.abs().max()))
        self.squares += float(difference.square().sum())
        self.reference_squares += float(ours.double().square().sum())


def count_ties(x: torch.Tensor, formats: Sequence[Format]) -> int:
    """Values of x [G, ...] that lie exactly between two codes of their format, in float32 as quantization divides."""
    first = formats[0]
    step = per_group([f.scale for f in formats], x)
    low: int | torch.Tensor
    high: int | torch.Tensor
    if isinstance(first, pq.TwinSoftmax | pq.TwinGELU):
        coarse = per_group([f.scale * 2.0**f.shift for f in formats], x)
        split = step * 2 ** (first.bits - 1) if isinstance(first, pq.TwinSoftmax) else torch.zeros_like(step)
        step = torch.where(x < split, step, coarse)
        low, high = (-(2 ** (first.bits - 1)) + 1, 2 ** (first.bits - 1) - 1)
    elif isinstance(first, pq.Uniform):
        plain = plain_formats(formats)
        low = per_group([f.aligned_min for f in plain], x)
        high = per_group([f.aligned_max for f in plain], x)
    else:
        return 0
    t = x / step
    return int(((t - t.floor() == 0.5) & (t > low) & (t < high)).sum())


def _rounded(op: MatmulOperation, x: torch.Tensor, formats: Sequence[Format]) -> torch.Tensor:
    out = fake_quantize(_grouped(op, x), formats)
    return out[0] if isinstance(op, WeightOperation) else out.transpose(0, 1)


def _grouped(op: MatmulOperation, x: torch.Tensor) -> torch.Tensor:
    """An input with its groups in front: one of a weight operation, the heads of an attention product [B, H, ...]."""
    return x[None] if isinstance(op, WeightOperation) else x.transpose(0, 1)


def _tensor(values: NDArray[Any], like: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).to(like.device)
