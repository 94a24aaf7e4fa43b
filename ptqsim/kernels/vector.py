"""Groups of additions in vector registers.

A group takes ``ROWS`` rows of the left operand and ``COLUMNS`` columns of the right one through some depth, with all
registers of the datapath starting at zero:

- `saturate`: register = min(max(register + x * w, low), high)
- `wrap`: register = the low bits of register + x * w, by shifting left and back by `low`
- `prefixes`: register = register + x * w, and the least and the greatest of its values

`saturate_counted` and `wrap_counted` also count the additions that were changed.

A group is emitted as LLVM vector code, in which the registers of the datapath stay in those of the machine from the
first addition to the last: what a compiler does not find in loops over arrays. It names no instruction set, so it runs
on whatever the processor has. `interpreted` defines the same groups in NumPy, for when there is no compiler.

Every group is called as ``group(a, row, last, start, stop, panel, low, high, registers, more)``:

=============== =======================================================================================================
a               [rows, K] left operand; rows `row` .. `row` + ROWS - 1 are taken, and row `last` for those beyond it
start, stop     range of the depth, not empty
panel           [K, COLUMNS] right operand, in the type of `a`
low, high       constants in the type of `a`
registers       [ROWS, COLUMNS] in the type of `a`: what the registers hold in the end
more            counted: int32 [ROWS, COLUMNS], added to; prefixes: [2, COLUMNS], lowered and raised; else not used
=============== =======================================================================================================

All arrays are contiguous.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from ptqsim.kernels import interpreted
from ptqsim.kernels._emit import Emitter

ROWS, COLUMNS = interpreted.ROWS, interpreted.COLUMNS

# Registers of the datapath that are kept at once, in vectors: half of the 32 registers of the machine.
_STATE_VECTORS = 16


def _saturated(emit: Emitter, total: Any, low: Any, high: Any) -> Any:
    return emit.smaller(emit.larger(total, low), high)


def _wrapped(emit: Emitter, total: Any, drop: Any, _: Any) -> Any:
    return emit.builder.ashr(emit.builder.shl(total, drop), drop)


def _unbounded(emit: Emitter, total: Any, _: Any, __: Any) -> Any:
    return total


class _Group:
    """The code of one group: registers that are ``bounded(register + x * w)``, and what else is kept of them."""

    def __init__(self, bounded: Callable[..., Any], counts: bool = False, ranges: bool = False) -> None:
        self.bounded, self.counts, self.ranges = bounded, counts, ranges

    def generate(self, context: Any, builder: Any, signature: Any, values: Any) -> Any:
        """Read the arguments, and write one loop over the depth for every few vectors of columns."""
        kinds = signature.args
        dtype = kinds[0].dtype
        emit = Emitter(context, builder, dtype)
        a, panel, registers, more = (
            make_array(kinds[i])(context, builder, value=values[i])  # type: ignore[no-untyped-call]
            for i in (0, 5, 8, 9)
        )
        row, last, start, stop = (context.cast(builder, values[i], kinds[i], types.intp) for i in (1, 2, 3, 4))
        limits = [emit.splat(context.cast(builder, values[i], kinds[i], dtype)) for i in (6, 7)]
        depth = cgutils.unpack_tuple(builder, a.shape)[1]  # type: ignore[no-untyped-call]
        starts = []
        for r in range(ROWS):
            index = builder.add(row, ir.Constant(row.type, r))
            index = builder.select(builder.icmp_signed("<", index, last), index, last)
            starts.append(builder.gep(a.data, [builder.mul(index, depth)]))
        width = _STATE_VECTORS // ROWS // (2 if self.counts or self.ranges else 1)
        for column in range(0, COLUMNS, width * emit.lanes):
            offsets = [column + v * emit.lanes for v in range(width)]
            self._columns(emit, starts, start, stop, panel.data, limits, registers.data, more.data, offsets)
        return context.get_dummy_value()

    def _columns(
        self, emit: Emitter, rows: list[Any], start: Any, stop: Any, panel: Any, limits: list[Any], registers: Any,
        more: Any, offsets: list[int],
    ) -> None:  # fmt: skip
        builder, integer = emit.builder, start.type
        before, loop, after = builder.block, builder.append_basic_block("steps"), builder.append_basic_block("done")
        builder.branch(loop)
        builder.position_at_end(loop)
        k = builder.phi(integer)
        k.add_incoming(start, before)
        backward: list[tuple[Any, Any]] = []  # what every value of the loop is in its next turn

        def state(kind: Any) -> Any:
            value = builder.phi(kind)
            value.add_incoming(ir.Constant(kind, None), before)
            return value

        held = {(r, v): state(emit.kind) for r in range(ROWS) for v in range(len(offsets))}
        changes = {cell: state(emit.counts) for cell in held} if self.counts else {}
        extremes = [(state(emit.kind), state(emit.kind)) for _ in offsets] if self.ranges else []
        new, new_changes, new_extremes = dict(held), dict(changes), list(extremes)
        first = builder.mul(k, ir.Constant(integer, COLUMNS))
        weights = [emit.load(panel, builder.add(first, ir.Constant(integer, offset)), emit.kind) for offset in offsets]
        for (r, v), register in held.items():
            x = emit.splat(builder.load(builder.gep(rows[r], [k])))
            total = emit.multiply_add(register, x, weights[v])
            new[r, v] = self.bounded(emit, total, *limits)
            if self.counts:
                changed = builder.sext(emit.compare("!=", new[r, v], total), emit.counts)  # -1 where it was
                new_changes[r, v] = builder.sub(changes[r, v], changed)
            if self.ranges:
                low, high = new_extremes[v]
                new_extremes[v] = emit.smaller(low, total), emit.larger(high, total)
        following = builder.add(k, ir.Constant(integer, 1))
        builder.cbranch(builder.icmp_signed("<", following, stop), loop, after)
        backward += [(k, following), *zip(held.values(), new.values(), strict=True)]
        backward += zip(changes.values(), new_changes.values(), strict=True)
        for pair, new_pair in zip(extremes, new_extremes, strict=True):
            backward += zip(pair, new_pair, strict=True)
        for value, in_next_turn in backward:
            value.add_incoming(in_next_turn, loop)

        builder.position_at_end(after)
        for (r, v), register in new.items():
            where = ir.Constant(integer, r * COLUMNS + offsets[v])
            emit.store(register, registers, where)
            if self.counts:
                emit.store(builder.add(emit.load(more, where, emit.counts), new_changes[r, v]), more, where)
        for offset, (low, high) in zip(offsets, new_extremes, strict=bool(new_extremes)):
            low_at, high_at = ir.Constant(integer, offset), ir.Constant(integer, COLUMNS + offset)
            emit.store(emit.smaller(emit.load(more, low_at, emit.kind), low), more, low_at)
            emit.store(emit.larger(emit.load(more, high_at, emit.kind), high), more, high_at)


def _compiled(group: _Group) -> Any:
    @intrinsic
    def call(typing_context, a, row, last, start, stop, panel, low, high, registers, more):  # type: ignore[no-untyped-def]
        return types.void(a, row, last, start, stop, panel, low, high, registers, more), group.generate

    return call


def _choose(name: str, group: _Group) -> Any:
    return getattr(interpreted, name) if numba.config.DISABLE_JIT else _compiled(group)  # type: ignore[attr-defined]


saturate = _choose("saturate", _Group(_saturated))
saturate_counted = _choose("saturate_counted", _Group(_saturated, counts=True))
wrap = _choose("wrap", _Group(_wrapped))
wrap_counted = _choose("wrap_counted", _Group(_wrapped, counts=True))
prefixes = _choose("prefixes", _Group(_unbounded, ranges=True))
