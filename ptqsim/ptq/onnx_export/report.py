"""Reports of an export and of its check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ptqsim.ptq.onnx_export.operands import OperandExport


@dataclass(frozen=True)
class LayerExport:
    """One layer in the file: what it is, what became of its operands A and B."""

    kind: str
    a: OperandExport
    b: OperandExport


@dataclass(frozen=True)
class ExportReport:
    """Report of an export.

    Attributes
    ----------
    path : Path
    bytes : int
        Size of the file.
    opset : int
        Version of the operator set ai.onnx.
    layers : mapping of str to LayerExport
        In the order of execution.
    """

    path: Path
    bytes: int
    opset: int
    layers: Mapping[str, LayerExport]

    @property
    def not_q_dq(self) -> dict[str, str]:
        """The operands that QuantizeLinear can't say, and what became of each: ``{"blocks.0.mlp.fc2 A": ...}``."""
        return {
            f"{name} {side}": f"{operand.formats}: {operand.how}, as {operand.reason}"
            for name, layer in self.layers.items()
            for side, operand in (("A", layer.a), ("B", layer.b))
            if operand.how != "q_dq"
        }

    @property
    def in_float(self) -> list[str]:
        """The operands that the file doesn't quantize, as ``"blocks.0.mlp.fc2 A"``."""
        return [
            f"{name} {side}"
            for name, layer in self.layers.items()
            for side, operand in (("A", layer.a), ("B", layer.b))
            if operand.how == "float"
        ]


SAME_INPUT_LIMIT: Final = 1e-4
"""Tolerance for float32 sums in another order, relative to the largest output: some thousand roundings."""


@dataclass(frozen=True)
class LayerCheck:
    """One layer, ONNX Runtime against fake_quant mode, over all images.

    Attributes
    ----------
    kind : str
    quantized : bool
        True if the file quantizes both operands. If not, the differences below are the effect of that.
    values, mismatches : int
        Operand values (weights included), and how many of them the file rounds to another value than fake_quant mode
        does *from the same input*.
    ties : int
        Activations that lie exactly between two codes: where another rounding than half to even would matter.
    same_input : float
        Largest difference of the output from the same input, relative to the largest output.
    activations, moved : int
        Activations quantized, and how many of them have another quantized value after both networks ran from the
        image on: a difference in the last bit of some float sum earlier on that crossed a rounding threshold.
    largest, relative : float
        Largest absolute and relative root mean square difference of the output, both networks run from the image on.
    """

    kind: str
    quantized: bool
    values: int
    mismatches: int
    ties: int
    same_input: float
    activations: int
    moved: int
    largest: float
    relative: float


@dataclass(frozen=True)
class LogitDifference:
    """The logits of one way to run the file against those of fake_quant mode.

    Attributes
    ----------
    largest : float
        Largest absolute difference.
    predictions : int
        Images whose arg max differs.
    """

    largest: float
    predictions: int


@dataclass(frozen=True)
class OnnxCheck:
    """ONNX Runtime against fake_quant mode.

    Attributes
    ----------
    images : int
    runtime : str
        Version of ONNX Runtime.
    layers : mapping of str to LayerCheck
        The file as written, without graph optimizations.
    logits : mapping of str to LogitDifference
        By the way it was run: ``as written``, ``optimized`` by ONNX Runtime's defaults, and ``optimized, exact
        activations``, which differs from these by ``session.qdq_matmulnbits_accuracy_level = 0`` (docs/onnx.md).
    """

    images: int
    runtime: str
    layers: Mapping[str, LayerCheck]
    logits: Mapping[str, LogitDifference]

    @property
    def passed(self) -> bool:
        """True if no quantized value differs at the same input, and no output by more than its sum's order."""
        return all(
            layer.mismatches == 0 and (layer.same_input <= SAME_INPUT_LIMIT or not layer.quantized)
            for layer in self.layers.values()
        )


@dataclass(frozen=True, slots=True)
class IntegerExport:
    """An integer-only network as it was written to an ONNX file.

    Attributes
    ----------
    path : Path
    bytes : int
        Size of the file.
    opset : int
    products : dict of str to str
        Operator that multiplies, by product: ``MatMulInteger`` on bytes, or ``MatMul`` on wider integers.
    operators : dict of str to int
        Number of nodes, by operator.
    """

    path: Path
    bytes: int
    opset: int
    products: dict[str, str]
    operators: dict[str, int]


@dataclass(slots=True)
class IntegerOnnxCheck:
    """ONNX Runtime against integer-only mode.

    Attributes
    ----------
    images : int
    runtime : str
        Version of ONNX Runtime.
    edges : dict of str to int
        Integers that differ, by edge, of the file run as it is written.
    values, logits : int
        Integers of all edges, and logits among them, that were compared.
    optimized : int
        Logits that differ where ONNX Runtime's optimizer is on.
    """

    images: int
    runtime: str
    edges: dict[str, int]
    values: int = 0
    logits: int = 0
    optimized: int = 0

    @property
    def mismatches(self) -> int:
        """Integers that differ, with the optimizer or without it."""
        return sum(self.edges.values()) + self.optimized

    @property
    def passed(self) -> bool:
        """True if every integer is equal."""
        return self.mismatches == 0
