"""Accumulator width of one operation by each bound that applies to it (docs/bounds.md)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import ptqsim as pq
from ptqsim.formats.blocks.array import as_block
from ptqsim.ptq.network.products.blocked import Blocked, plain_codes, plain_formats
from ptqsim.ptq.network.products.fake_quant import Format

if TYPE_CHECKING:
    from ptqsim.ptq.network.products.operations import MatmulOperation


def operation_bounds(op: MatmulOperation, zero_point: pq.ZeroPoint | None = None) -> dict[str, pq.Bound]:
    """By name, from loosest to tightest; of several groups (heads, W_Q, W_K, W_V) the widest.

    ``datatype`` always; ``weight_aware`` with a constant right operand; ``row_stochastic`` after softmax;
    ``calibrated`` where statistics were counted in integer mode (``q.statistics = True``). All are of the P-bit
    register, with zero points subtracted at a place, by default where its accumulator does it. Products of blocks have
    them in a fixed-point register only, and no ``row_stochastic`` one.
    """
    if op.has_blocks:
        return _of_blocks(op)
    if op.formats is None:
        raise ValueError(f"layer {op.name!r} has no formats: calibrate the model first")
    unit = op.integer.accumulator
    alignment, place = unit.alignment, unit.zero_point if zero_point is None else zero_point
    a, b = plain_formats(op.formats.a), plain_formats(op.formats.b)
    pairs = [(a[g % len(a)], g) for g in range(max(len(a), len(b)))]
    bounds = {"datatype": _widest(pq.bounds.datatype(x, b[g % len(b)], op.depth, alignment, place) for x, g in pairs)}
    if op.weight_codes is not None:
        codes = plain_codes(op.weight_codes)
        bounds["weight_aware"] = _widest(pq.bounds.weight_aware(x, codes[g], alignment, place) for x, g in pairs)
    softmax = [(x, g) for x, g in pairs if op.a_kind == "softmax" and isinstance(x, pq.Uniform | pq.TwinSoftmax)]
    if softmax:
        bounds["row_stochastic"] = _widest(
            pq.bounds.row_stochastic(x, b[g % len(b)], op.depth, zero_point=place) for x, g in softmax
        )
    return bounds | _observed(op)


def _of_blocks(op: MatmulOperation) -> dict[str, pq.Bound]:
    """Bounds of a register of blocks in fixed point, in units of its least bit; floats have none.

    The scales of activations are not known, so that ``datatype`` and ``weight_aware`` take the largest that there are.
    """
    register, formats = op.integer.register, op.formats
    assert formats is not None
    if not isinstance(register, pq.FixedPoint):
        return {}
    size = next(fmt.format.block for fmt in (*formats.a, *formats.b) if isinstance(fmt, Blocked))
    a, b = ([_with_largest_scale(fmt, size) for fmt in side] for side in (formats.a, formats.b))
    pairs = [(a[g % len(a)], b[g % len(b)]) for g in range(max(len(a), len(b)))]
    bounds = {
        "datatype": _widest(
            pq.block_bounds.datatype(x, w, op.depth, register, x_scale, w_scale) for (x, x_scale), (w, w_scale) in pairs
        )
    }
    if (codes := op.weight_codes) is not None:
        every = [one if isinstance(one, pq.BlockArray) else pq.BlockArray.from_plain(one, size, -2) for one in codes]
        bounds["weight_aware"] = _widest(
            pq.block_bounds.weight_aware(a[g % len(a)][0], one, register, a[g % len(a)][1])
            for g, one in enumerate(every)
        )
    return bounds | _observed(op)


def _with_largest_scale(fmt: Format, size: int) -> tuple[pq.Block, float | None]:
    """A block format, and its largest scale if that is not the largest of the format."""
    return (fmt.format, None) if isinstance(fmt, Blocked) else (as_block(fmt, size), 1.0)


def _observed(op: MatmulOperation) -> dict[str, pq.Bound]:
    if (seen := op.integer.overflow.prefixes) is None:
        return {}
    why = f"exact prefix sums of {op.integer.overflow.computed:,} outputs on the data that was run"
    return {"calibrated": pq.Bound("calibrated", "observation", seen.lowest, seen.highest, why)}


def _widest(bounds: Iterable[pq.Bound]) -> pq.Bound:
    return max(bounds, key=lambda bound: bound.bits)
