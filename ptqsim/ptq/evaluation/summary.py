"""Short descriptions of the formats of layers, for tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

import ptqsim as pq
from ptqsim.ptq.network.products.blocked import Blocked, plain_formats
from ptqsim.ptq.network.products.operations import MatmulOperation
from ptqsim.ptq.network.quantized_model import QuantizedModel

SHIFTED: Final = (pq.TwinSoftmax, pq.TwinGELU)
"""Formats that have a shift between their ranges."""


def describe(formats: Sequence[pq.NumberFormat | Blocked]) -> str:
    """Description of the formats of a layer's operand, its groups taken together.

    >>> describe([pq.TwinSoftmax(bits=6, shift=4), pq.TwinSoftmax(bits=6, shift=7)])
    'twin softmax 6 bit, m 4..7'
    >>> describe([pq.E4M3, pq.Minifloat(4, 3, special="fn", scale=0.5)])
    'E4M3fn, scale 0.5..1'
    >>> describe([pq.Log2(4, root=2)])
    'log2 4 bit, base 2^(1/2)'
    >>> describe([Blocked(pq.MXFP4, "b"), Blocked(pq.MXFP4, "b")])
    'E2M1 in blocks of 32'
    >>> describe([pq.Uniform(4, 0.25, signed=False, zero_point=z) for z in (7, 9)])
    'uniform 4 bit, scale 0.25, unsigned, zero point 7..9'
    """
    first = formats[0]
    if isinstance(first, Blocked):
        scales = [fmt.scale for fmt in formats]
        words = f"{first.element_name} in blocks of {first.format.block}"
        return words if set(scales) == {1.0} else f"{words}, tensor scale {_span(scales, '{:.3g}'.format)}"
    if isinstance(first, pq.Log2):  # it has no scale of its own
        return "log2 {} bit{}".format(first.bits, "" if first.root == 1 else f", base 2^(1/{first.root})")
    text = first.name if isinstance(first, pq.Minifloat) else f"{first.kind.replace('_', ' ')} {first.bits} bit"
    if isinstance(first, pq.TwinSoftmax | pq.TwinGELU):
        text += f", m {_span([f.shift for f in formats], str)}"
    if not isinstance(first, pq.TwinSoftmax):
        scales = [s for f in formats for s in np.atleast_1d(f.scale).tolist()]
        text += f"{'' if first.axis is None else ' per channel'}, scale {_span(scales, '{:.3g}'.format)}"
    if isinstance(first, pq.Uniform) and not first.signed:
        text += f", unsigned, zero point {_span([f.zero_point for f in plain_formats(formats)], str)}"
    return text


def format_facts(op: MatmulOperation) -> dict[str, Any]:
    """Kinds and widths of a calibrated operation's formats, its groups, and the least and greatest m among them."""
    formats = op.formats
    assert formats is not None, "a calibrated model has formats everywhere"
    shifts = [fmt.shift for fmt in (*formats.a, *formats.b) if isinstance(fmt, SHIFTED)]
    return {
        "a_format": formats.a[0].kind,
        "a_bits": formats.a[0].bits,
        "b_format": formats.b[0].kind,
        "b_bits": formats.b[0].bits,
        "groups": max(len(formats.a), len(formats.b)),
        "shift_min": min(shifts, default=None),
        "shift_max": max(shifts, default=None),
    }


def weight_bits(quantized: QuantizedModel) -> int:
    """Bits that the packed weights of all operations take, scales of blocks and padding included."""
    total = 0
    for op in quantized.layers.values():
        if op.constant_b is not None and op.formats is not None:
            each = op.constant_b.numel() // len(op.formats.b)
            depth = op.constant_b.shape[-2]
            total += sum(
                fmt.stored_bits(depth, each // depth) if isinstance(fmt, Blocked) else each * fmt.storage_bits
                for fmt in op.formats.b
            )
    return total


def _span(values: Sequence[float], show: object) -> str:
    low, high = min(values), max(values)
    texts = [show(low), show(high)]  # type: ignore[operator]
    return str(texts[0]) if texts[0] == texts[1] else f"{texts[0]}..{texts[1]}"
