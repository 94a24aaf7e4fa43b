"""Operands in ONNX: the operators and the integer type, or the reason why there are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

import ptqsim as pq
from ptqsim.common.choice import Choice
from ptqsim.ptq.evaluation.summary import describe
from ptqsim.ptq.network.products.blocked import Blocked, plain_formats
from ptqsim.ptq.network.products.fake_quant import FORMATS, Format
from ptqsim.ptq.network.products.operations import AttentionMatmul, LinearOperation, MatmulOperation, PatchOperation

How = Literal["q_dq", "explicit", "float"]


class OtherFormats(Choice):
    """Form of the formats that QuantizeLinear cannot express: standard operators that compute the same, or float."""

    EXPLICIT = "explicit"
    FLOAT = "float"


TYPES: Final = {
    "int4": (-8, 7), "uint4": (0, 15), "int8": (-128, 127), "uint8": (0, 255), "int16": (-(2**15), 2**15 - 1),
    "uint16": (0, 2**16 - 1),
}  # fmt: skip
"""The integer types that QuantizeLinear has since opset 21, and their ranges."""


@dataclass(frozen=True)
class Storage:
    """The ONNX type that codes low .. high are kept in.

    QuantizeLinear saturates at the type's own range; a narrower one is cut out by a Clip behind it.
    """

    kind: str
    low: int
    high: int

    @property
    def clip(self) -> bool:
        """True if the type's range is wider than the format's."""
        return (self.low, self.high) != TYPES[self.kind]

    @classmethod
    def of_activation(cls, low: int, high: int) -> Storage:
        """A 4-bit type where it fits exactly, as Clip knows none; else 8 bits, else 16."""
        return cls(next(k for k, r in _types(low, high) if "4" not in k or r == (low, high)), low, high)

    @classmethod
    def of_weight(cls, low: int, high: int) -> Storage:
        """The narrowest type: stored codes need no Clip."""
        return cls(next(kind for kind, _ in _types(low, high)), low, high)


def _types(low: int, high: int) -> list[tuple[str, tuple[int, int]]]:
    """Those that hold low .. high, narrow ones first, signed only if they have to be."""
    return [(k, r) for k, r in TYPES.items() if k.startswith("u") == (low >= 0) and r[0] <= low and high <= r[1]]


@dataclass(frozen=True)
class OperandExport:
    """Export of one operand.

    Attributes
    ----------
    formats : str
        The calibrated formats, in words.
    how : {"q_dq", "explicit", "float"}
        QuantizeLinear and DequantizeLinear; standard operators that compute the same; or unquantized.
    storage : str
        ONNX type of the codes where ``how`` is ``q_dq``; empty otherwise.
    clip : tuple of two int, or None
        The range that a Clip narrows the type to.
    scales : int
        Number of scales: one, or one per group or channel along an axis.
    reason : str
        Why it is not ``q_dq``; empty if it is.
    """

    formats: str
    how: How
    storage: str = ""
    clip: tuple[int, int] | None = None
    scales: int = 1
    reason: str = ""


def plan(op: MatmulOperation, other_formats: OtherFormats) -> tuple[OperandExport, OperandExport]:
    """Export plan of both operands of an operation.

    Raises
    ------
    ValueError
        Where it has no formats or is no operation of a ViT, DeiT or Swin.
    """
    if not isinstance(op, LinearOperation | PatchOperation | AttentionMatmul):
        raise ValueError(
            f"layer {op.name!r} is of kind {op.kind!r}, which is not exported to ONNX; exported are fully-connected "
            "layers, the patch projection and attention products: choose a ViT, DeiT or Swin"
        )
    if op.formats is None:
        raise ValueError(f"layer {op.name!r} has no formats: calibrate the model before exporting it")
    constant = op.constant_b is not None
    return _plan(op.formats.a, other_formats, constant=False), _plan(op.formats.b, other_formats, constant=constant)


def _plan(every: Sequence[Format], other_formats: OtherFormats, *, constant: bool) -> OperandExport:
    words = describe(every)
    if any(isinstance(fmt, Blocked) for fmt in every):
        return OperandExport(words, "float", reason="export has no block formats")
    formats = plain_formats(every)
    first = formats[0]
    if len({(type(f), f.bits, *_choices(f)) for f in formats}) > 1:
        return OperandExport(words, "float", reason="its groups differ in more than scale, shift and zero point")
    if not isinstance(first, FORMATS):
        return OperandExport(words, "float", reason=f"fake quantization knows no {type(first).__name__}")
    if isinstance(first, pq.Minifloat | pq.Log2):
        return OperandExport(words, "float", reason=f"export has no {type(first).__name__}")
    if isinstance(first, pq.Uniform):
        if constant:  # the codes are stored, whichever way they were rounded
            scales = sum(np.size(f.scale) for f in formats)
            return OperandExport(words, "q_dq", Storage.of_weight(*first.code_range).kind, scales=scales)
        if first.axis is not None:
            return OperandExport(words, "float", reason="scales per channel are exported for weights only")
        if first.rounding == "half_even":
            low, high, _ = integers_of(formats)
            storage = Storage.of_activation(low, high)
            clip = (storage.low, storage.high) if storage.clip else None
            return OperandExport(words, "q_dq", storage.kind, clip, len(formats))
    rounding, *_ = _choices(first)
    if not constant and rounding not in ("half_even", ""):
        return OperandExport(words, "float", reason=f"QuantizeLinear rounds half to even, not {rounding}")
    reason = f"QuantizeLinear has one scale for all values of a group, {first.kind.replace('_', ' ')} has two"
    how: How = "explicit" if other_formats == OtherFormats.EXPLICIT else "float"
    return OperandExport(words, how, scales=len(formats), reason=reason)


def integers_of(formats: Sequence[pq.NumberFormat]) -> tuple[int, int, list[int]]:
    """Range of the integers of uniform activations, and the zero point of each group.

    Unsigned codes of several groups are written as signed ones, integers and zero points less by half of the range:
    ONNX Runtime makes one operator of an unsigned operand and its product, which takes no more than one zero point.
    """
    first = formats[0]
    assert isinstance(first, pq.Uniform)
    low, high = first.code_range
    less = 0 if first.signed or len(formats) == 1 else 1 << (first.bits - 1)
    return low - less, high - less, [each.zero_point - less for each in formats]


def _choices(fmt: pq.NumberFormat) -> tuple[str, str, bool]:
    return getattr(fmt, "rounding", ""), getattr(fmt, "range_choice", ""), getattr(fmt, "signed", True)
