"""Groups of additions in vector registers, in lanes of one machine type.

A group takes ``ROWS`` rows of the left operand and up to ``COLUMNS`` columns of the right one through some depth, in
inner registers that start at zero, and adds what they hold in the end to outer registers:

- `saturate`: inner = min(max(inner + x * w, inner_low), inner_high), and likewise the outer addition
- `wrap`: the low bits of every sum, by shifting left and back by `inner_low` and by `low`
- `prefixes`: nothing is bounded, and the least and the greatest of all sums are kept
- `saturate_in_wrap` and `wrap_in_saturate`: the inner register as the first word says, the outer one as the last

Those whose names end in `_counted` also count the additions that were changed. Those whose names end in `_on` have
one register only: the inner one starts from the stored outer one and takes its place in the end.

A group is emitted as LLVM vector code, in which the registers of the datapath stay in those of the machine from the
first addition to the last: what a compiler does not find in loops over arrays. It names no instruction set, so it runs
on whatever the processor has. `interpreted` defines the same groups in NumPy, for when there is no compiler.

Every group is called as ``group(strips, strip, start, stop, panels, panel, columns, inner_low, inner_high, low, high,
registers, more)``:

=============== =======================================================================================================
strips          [..., K, ROWS] rows of the left operand, turned; zeros for rows that are not there
strip           where the strip begins, in lines of ROWS
start, stop     range of the depth
panels          [..., K, COLUMNS] columns of the right operand, in the type of `strips`; zeros beyond `columns`
panel           where the panel begins, in lines of COLUMNS
columns         how many columns are needed; those beyond may be left as they are
inner_*, low,   constants in the type of `strips`
high
registers       [ROWS, COLUMNS] in the type of `strips`: the outer registers
more            counted: int32 [ROWS, COLUMNS], added to; prefixes: [4, COLUMNS], rows 0 and 1 lowered and raised to the
                inner sums, rows 2 and 3 to the outer ones; else not used
=============== =======================================================================================================

All arrays are contiguous.
"""

from __future__ import annotations

from typing import Any

from ptqsim.kernels.codegen import interpreted
from ptqsim.kernels.codegen.emit import Emitter
from ptqsim.kernels.codegen.group import Limits, Onward, Steps, compiled
from ptqsim.kernels.runtime.machine import COMPILED


class _Bounded(Steps):
    def __init__(self, counts: bool = False) -> None:
        self.tracks = "changes" if counts else "nothing"  # type: ignore[misc]

    def bounded(self, emit: Emitter, total: Any, low: Any, high: Any) -> Any:
        """Value that a register with these limits holds of a sum."""
        raise NotImplementedError

    def step(self, emit: Emitter, register: Any, x: Any, w: Any, tracked: Any, limits: Limits) -> tuple[Any, Any]:
        total = emit.multiply_add(register, x, w)
        return self._put(emit, total, tracked, limits.inner_low, limits.inner_high, limits.one)

    def end(self, emit: Emitter, stored: Any, register: Any, tracked: Any, limits: Limits) -> tuple[Any, Any]:
        return self._put(emit, emit.add(stored, register), tracked, limits.low, limits.high, limits.one)

    def _put(self, emit: Emitter, total: Any, tracked: Any, low: Any, high: Any, one: Any) -> tuple[Any, Any]:
        new = self.bounded(emit, total, low, high)
        return new, self._tracked(emit, tracked, new, total, one)

    def _tracked(self, emit: Emitter, tracked: Any, new: Any, total: Any, one: Any) -> Any:
        """One more, if the register is not the sum."""
        return emit.counted(tracked, emit.compare("!=", new, total), one) if self.tracks == "changes" else tracked


class _Saturate(_Bounded):
    def bounded(self, emit: Emitter, total: Any, low: Any, high: Any) -> Any:
        return emit.smaller(emit.larger(total, low), high)


class _SaturateOn(Onward, _Saturate):
    pass


class _Wrap(_Bounded):
    def serves(self, emit: Emitter) -> bool:
        return not emit.is_float

    def bounded(self, emit: Emitter, total: Any, low: Any, high: Any) -> Any:
        return emit.shifted_back(total, low)


class _WrapOn(Onward, _Wrap):
    pass


class _Mixed(_Bounded):
    """Inner registers as one kind of steps bounds them, outer ones as another."""

    def __init__(self, inner: _Bounded, outer: _Bounded, counts: bool = False) -> None:
        super().__init__(counts)
        self.inner, self.outer = inner, outer

    def serves(self, emit: Emitter) -> bool:
        return not emit.is_float

    def step(self, emit: Emitter, register: Any, x: Any, w: Any, tracked: Any, limits: Limits) -> tuple[Any, Any]:
        total = emit.multiply_add(register, x, w)
        new = self.inner.bounded(emit, total, limits.inner_low, limits.inner_high)
        return new, self._tracked(emit, tracked, new, total, limits.one)

    def end(self, emit: Emitter, stored: Any, register: Any, tracked: Any, limits: Limits) -> tuple[Any, Any]:
        total = emit.add(stored, register)
        new = self.outer.bounded(emit, total, limits.low, limits.high)
        return new, self._tracked(emit, tracked, new, total, limits.one)


class _Prefixes(Steps):
    tracks = "ranges"

    def step(self, emit: Emitter, register: Any, x: Any, w: Any, tracked: Any, limits: Limits) -> tuple[Any, Any]:
        total = emit.multiply_add(register, x, w)
        tracked.see(total)
        return total, tracked

    def end(self, emit: Emitter, stored: Any, register: Any, tracked: Any, limits: Limits) -> tuple[Any, Any]:
        total = emit.add(stored, register)
        tracked.see(total)
        return total, tracked


class _PrefixesOn(Onward, _Prefixes):
    def end(self, emit: Emitter, stored: Any, register: Any, tracked: Any, limits: Limits) -> tuple[Any, Any]:
        tracked.see(register)
        return register, tracked


def _choose(name: str, steps: Steps) -> Any:
    return compiled(steps) if COMPILED else getattr(interpreted, name)


saturate = _choose("saturate", _Saturate())
saturate_counted = _choose("saturate_counted", _Saturate(counts=True))
wrap = _choose("wrap", _Wrap())
wrap_counted = _choose("wrap_counted", _Wrap(counts=True))
saturate_in_wrap = _choose("saturate_in_wrap", _Mixed(_Saturate(), _Wrap()))
saturate_in_wrap_counted = _choose("saturate_in_wrap_counted", _Mixed(_Saturate(), _Wrap(), counts=True))
wrap_in_saturate = _choose("wrap_in_saturate", _Mixed(_Wrap(), _Saturate()))
wrap_in_saturate_counted = _choose("wrap_in_saturate_counted", _Mixed(_Wrap(), _Saturate(), counts=True))
prefixes = _choose("prefixes", _Prefixes())
saturate_on = _choose("saturate_on", _SaturateOn())
saturate_counted_on = _choose("saturate_counted_on", _SaturateOn(counts=True))
wrap_on = _choose("wrap_on", _WrapOn())
wrap_counted_on = _choose("wrap_counted_on", _WrapOn(counts=True))
prefixes_on = _choose("prefixes_on", _PrefixesOn())
