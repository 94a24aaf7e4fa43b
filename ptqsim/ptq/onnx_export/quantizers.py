"""Operators that round an activation to its formats, the ONNX twin of :mod:`ptqsim.ptq.network.products.fake_quant`.

Every function here computes what its namesake there does, to the last bit: ONNX's QuantizeLinear divides in float32 and
rounds half to even, as torch does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ptqsim as pq
from ptqsim.formats import ReleasedTwinGELU, ReleasedTwinSoftmax
from ptqsim.ptq.network.products.blocked import plain_formats
from ptqsim.ptq.network.products.fake_quant import Format
from ptqsim.ptq.onnx_export.nodes import Nodes, element_type
from ptqsim.ptq.onnx_export.operands import Storage, integers_of

HEAD_AXIS = 1
"""Axis of the groups of an attention operand [B, H, ...]."""

Scales = NDArray[Any]  # float32 [G]


def quantize_dequantize(nodes: Nodes, x: str, label: str, formats: Sequence[Format]) -> str:
    """The name of the value that ``x`` is rounded to; one format, or one per head along axis 1 of four."""
    first = formats[0]
    scale = np.array([f.scale for f in formats], np.float32)
    if isinstance(first, pq.Uniform):
        low, high, zeros = integers_of(plain_formats(formats))
        return _uniform(nodes, x, label, scale, low, high, np.array(zeros))
    top = (1 << (first.bits - 1)) - 1
    if isinstance(first, ReleasedTwinSoftmax):
        split = np.array([f.split for f in formats if isinstance(f, ReleasedTwinSoftmax)], np.float32)
        return _released_softmax(nodes, x, label, scale, split, top)
    if isinstance(first, ReleasedTwinGELU):
        positive = np.array([f.positive_scale for f in formats if isinstance(f, ReleasedTwinGELU)], np.float32)
        first_range = _uniform(nodes, x, f"{label}/R1", scale, -top - 1, 0)
        return nodes.add("Add", [_uniform(nodes, x, f"{label}/R2", positive, 0, top), first_range], label)
    two_to_m = np.array([2.0**f.shift for f in formats], np.float32)
    if isinstance(first, pq.TwinSoftmax):
        if first.range_choice == "nearest":
            return _nearest_softmax(nodes, x, label, scale, two_to_m, top)
        return _twin_softmax(nodes, x, label, scale, two_to_m, top)
    assert isinstance(first, pq.TwinGELU)  # others are left in float
    if first.range_choice == "nearest":
        return _nearest_gelu(nodes, x, label, scale, two_to_m, top)
    return _twin_gelu(nodes, x, label, scale, two_to_m, top)


def _uniform(
    nodes: Nodes, x: str, label: str, scale: Scales, low: int, high: int, zeros: NDArray[Any] | None = None
) -> str:
    """PTQ4ViT Eq. 2: QuantizeLinear, a Clip where the type is wider than low .. high, DequantizeLinear.

    `zeros` are the zero points, one for each scale; None if all are 0.
    """
    storage = Storage.of_activation(low, high)
    shape = () if len(scale) == 1 else scale.shape
    axis: dict[str, Any] = {} if len(scale) == 1 else {"axis": HEAD_AXIS}
    s = nodes.real(f"{label}/scale", scale.reshape(shape))
    zero_points = np.zeros(shape) if zeros is None else zeros.reshape(shape)
    zero = nodes.integer(f"{label}/zero_point", zero_points, storage.kind)
    codes = nodes.add("QuantizeLinear", [x, s, zero], f"{label}/codes", **axis)
    if storage.clip:
        codes = _clipped(nodes, codes, label, storage)
    return nodes.add("DequantizeLinear", [codes, s, zero], label, **axis)


def _clipped(nodes: Nodes, codes: str, label: str, storage: Storage) -> str:
    """Codes cut to low .. high; by way of int32 where they have 16 bits, as ONNX Runtime clips no such integers."""
    wide = storage.kind.endswith("16")
    kind = "int32" if wide else storage.kind
    low = nodes.integer(f"{label}/low", np.array(storage.low), kind)
    high = nodes.integer(f"{label}/high", np.array(storage.high), kind)
    if wide:
        codes = nodes.add("Cast", [codes], f"{label}/wide", to=element_type(kind))
    codes = nodes.add("Clip", [codes, low, high], f"{label}/clipped")
    return nodes.add("Cast", [codes], f"{label}/narrow", to=element_type(storage.kind)) if wide else codes


def _twin_softmax(nodes: Nodes, x: str, label: str, scale: Scales, two_to_m: Scales, top: int) -> str:
    """PTQ4ViT Eq. 4: the value chooses its range, and is rounded and clamped inside it."""
    split = nodes.real(f"{label}/split", _over_heads(scale * np.float32(top + 1)))
    first = _uniform(nodes, x, f"{label}/R1", scale, 0, top)
    second = _uniform(nodes, x, f"{label}/R2", scale * two_to_m, 0, top)
    return nodes.add("Where", [nodes.add("Less", [x, split], f"{label}/in_R1"), first, second], label)


def _twin_gelu(nodes: Nodes, x: str, label: str, scale: Scales, two_to_m: Scales, top: int) -> str:
    """PTQ4ViT Eq. 4: the sign chooses the range."""
    zero = nodes.real(f"{label}/split", 0.0)
    first = _uniform(nodes, x, f"{label}/R1", scale, -top, 0)
    second = _uniform(nodes, x, f"{label}/R2", scale * two_to_m, 0, top)
    return nodes.add("Where", [nodes.add("Less", [x, zero], f"{label}/in_R1"), first, second], label)


def _nearest_softmax(nodes: Nodes, x: str, label: str, scale: Scales, two_to_m: Scales, top: int) -> str:
    """Whichever range has the nearer point, R1 on a tie, compared in float64 as the format does."""
    s = nodes.real(f"{label}/scale", _over_heads(scale))
    step = nodes.real(f"{label}/step", _over_heads(two_to_m.astype(np.float64)))
    reach = nodes.real(f"{label}/reach", _over_heads(top * two_to_m.astype(np.float64)))
    highest = nodes.real(f"{label}/top", np.float64(top))
    t = nodes.add("Div", [x, s], f"{label}/quotient")
    t = nodes.add("Cast", [t], f"{label}/quotient64", to=element_type("double"))
    t = nodes.add("Max", [t, nodes.real(f"{label}/zero", np.float64(0))], f"{label}/positive")
    t = nodes.add("Min", [t, reach], f"{label}/reached")
    first = nodes.add("Min", [_ties_to_zero(nodes, t, f"{label}/R1", np.float64), highest], f"{label}/R1")
    coarse = nodes.add("Div", [t, step], f"{label}/coarse")
    second = nodes.add("Min", [_ties_to_zero(nodes, coarse, f"{label}/R2", np.float64), highest], f"{label}/R2/code")
    second = nodes.add("Mul", [second, step], f"{label}/R2")
    off = [nodes.add("Sub", [t, point], f"{label}/off_{n}") for n, point in (("R2", second), ("R1", first))]
    distances = [nodes.add("Abs", [d], f"{label}/distance_{n}") for n, d in zip(("R2", "R1"), off, strict=True)]
    nearer = nodes.add("Where", [nodes.add("Less", distances, f"{label}/in_R2"), second, first], f"{label}/aligned64")
    aligned = nodes.add("Cast", [nearer], f"{label}/aligned", to=element_type("float"))
    return nodes.add("Mul", [aligned, s], label)


def _nearest_gelu(nodes: Nodes, x: str, label: str, scale: Scales, two_to_m: Scales, top: int) -> str:
    """As by the paper's rule, but ties go to the smaller magnitude, which no QuantizeLinear does."""
    zero = nodes.real(f"{label}/split", 0.0)
    highest = nodes.real(f"{label}/top", float(top))
    ranges = []
    for name, s in (("R1", scale), ("R2", scale * two_to_m)):
        step = nodes.real(f"{label}/{name}/scale", _over_heads(s))
        t = nodes.add("Div", [x, step], f"{label}/{name}/signed")
        t = nodes.add("Neg", [t], f"{label}/{name}/negated") if name == "R1" else t
        t = nodes.add("Max", [t, zero], f"{label}/{name}/positive")
        code = nodes.add(
            "Min", [_ties_to_zero(nodes, t, f"{label}/{name}", np.float32), highest], f"{label}/{name}/code"
        )
        ranges.append(nodes.add("Mul", [code, step], f"{label}/{name}"))
    first = nodes.add("Neg", [ranges[0]], f"{label}/R1/negative")
    return nodes.add("Where", [nodes.add("Less", [x, zero], f"{label}/in_R1"), first, ranges[1]], label)


def _ties_to_zero(nodes: Nodes, t: str, label: str, kind: type[np.floating[Any]]) -> str:
    """Nearest integer of t >= 0: one more than the whole part where the fraction, which is exact, is above 1/2."""
    whole = nodes.add("Floor", [t], f"{label}/whole")
    fraction = nodes.add("Sub", [t, whole], f"{label}/fraction")
    above = nodes.add("Greater", [fraction, nodes.real(f"{label}/half", kind(0.5))], f"{label}/above")
    one = nodes.add("Cast", [above], f"{label}/one_more", to=element_type("double" if kind is np.float64 else "float"))
    return nodes.add("Add", [whole, one], f"{label}/nearest")


def _released_softmax(nodes: Nodes, x: str, label: str, scale: Scales, split: Scales, top: int) -> str:
    """Both clamped ranges, added (:mod:`ptqsim.formats.compared.released`)."""
    at = nodes.real(f"{label}/split", _over_heads(split))
    first = _uniform(nodes, nodes.add("Min", [x, at], f"{label}/below"), f"{label}/R1", scale, 0, top)
    steps = nodes.real(f"{label}/top", float(top))
    second = nodes.add("Max", [x, at], f"{label}/above")
    second = nodes.add("Min", [second, nodes.real(f"{label}/one", 1.0)], f"{label}/R2/clamped")
    second = nodes.add("Mul", [second, steps], f"{label}/R2/quotient")
    second = nodes.add("Round", [second], f"{label}/R2/code")  # half to even
    second = nodes.add("Div", [second, steps], f"{label}/R2")
    return nodes.add("Add", [second, first], label)


def _over_heads(values: NDArray[Any]) -> NDArray[Any]:
    """[G] to what broadcasts over [B, H, M, K]; one value to a scalar."""
    return values.reshape(()) if len(values) == 1 else values.reshape(-1, 1, 1)
