"""Formats of a layer in a few words, for tables."""

from __future__ import annotations

from collections.abc import Sequence

import ptqsim as pq


def describe(formats: Sequence[pq.NumberFormat]) -> str:
    """What a layer's operand is stored in, its groups taken together.

    >>> describe([pq.TwinSoftmax(bits=6, shift=4), pq.TwinSoftmax(bits=6, shift=7)])
    'twin softmax 6 bit, m 4..7'
    """
    first = formats[0]
    text = f"{first.kind.replace('_', ' ')} {first.bits} bit"
    if isinstance(first, pq.TwinSoftmax | pq.TwinGELU):
        text += f", m {_span([f.shift for f in formats], str)}"
    if not isinstance(first, pq.TwinSoftmax):
        text += f", scale {_span([f.scale for f in formats], '{:.3g}'.format)}"
    return text


def _span(values: Sequence[float], show: object) -> str:
    low, high = min(values), max(values)
    texts = [show(low), show(high)]  # type: ignore[operator]
    return str(texts[0]) if texts[0] == texts[1] else f"{texts[0]}..{texts[1]}"
