"""Accumulator width of one operation by each bound that applies to it (docs/bounds.md)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import ptqsim as pq

if TYPE_CHECKING:
    from ptqsim.ptq.network.products.operations import MatmulOperation


def operation_bounds(op: MatmulOperation, zero_point: pq.ZeroPoint | None = None) -> dict[str, pq.Bound]:
    """By name, from loosest to tightest; of several groups (heads, W_Q, W_K, W_V) the widest.

    ``datatype`` always; ``weight_aware`` with a constant right operand; ``row_stochastic`` after softmax;
    ``calibrated`` where statistics were counted in integer mode (``q.statistics = True``). All are of the P-bit
    register, with zero points subtracted at a place, by default where its accumulator does it.
    """
    if op.formats is None:
        raise ValueError(f"layer {op.name!r} has no formats: calibrate the model first")
    unit = op.integer.accumulator
    alignment, place = unit.alignment, unit.zero_point if zero_point is None else zero_point
    a, b = op.formats.a, op.formats.b
    pairs = [(a[g % len(a)], g) for g in range(max(len(a), len(b)))]
    bounds = {"datatype": _widest(pq.bounds.datatype(x, b[g % len(b)], op.depth, alignment, place) for x, g in pairs)}
    if (codes := op.weight_codes) is not None:
        bounds["weight_aware"] = _widest(pq.bounds.weight_aware(x, codes[g], alignment, place) for x, g in pairs)
    softmax = [(x, g) for x, g in pairs if op.a_kind == "softmax" and isinstance(x, pq.Uniform | pq.TwinSoftmax)]
    if softmax:
        bounds["row_stochastic"] = _widest(
            pq.bounds.row_stochastic(x, b[g % len(b)], op.depth, zero_point=place) for x, g in softmax
        )
    if (seen := op.integer.overflow.prefixes) is not None:
        why = f"exact prefix sums of {op.integer.overflow.computed:,} outputs on the data that was run"
        bounds["calibrated"] = pq.Bound("calibrated", "observation", seen.lowest, seen.highest, why)
    return bounds


def _widest(bounds: Iterable[pq.Bound]) -> pq.Bound:
    return max(bounds, key=lambda bound: bound.bits)
