"""Run a calibrated network in exact integers and see how wide its sums get."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import ptqsim as pq
from ptqsim import ptq
from ptqsim.ptq.network.products.execute import OverflowCount

THEOREMS: Final = ("datatype", "weight_aware", "row_stochastic")
BOUNDS: Final = (*THEOREMS, "calibrated")
WIDEST: Final = 48
"""Bits of an accumulator in which nothing overflows, to observe how many are needed."""


@contextmanager
def exact_and_counting(quantized: ptq.QuantizedModel) -> Iterator[None]:
    """Exact integers with statistics; afterwards the layers' ``calibrated`` bounds are of what was run within."""
    quantized.mode, quantized.accumulator, quantized.statistics = "integer", pq.Accumulator(bits=WIDEST), True
    for layer in quantized.layers.values():
        layer.integer.overflow = OverflowCount()
    try:
        yield
    finally:
        quantized.statistics = False


def safe_width(quantized: ptq.QuantizedModel, bounds: tuple[str, ...]) -> int:
    """The width that the operation in most need has by the tightest of these bounds, among those that apply to it."""
    return max(min(layer.bounds[b].bits for b in bounds if b in layer.bounds) for layer in quantized.layers.values())
