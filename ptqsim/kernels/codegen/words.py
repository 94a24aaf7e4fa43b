"""Groups of additions by the dot-product instructions of AVX-512 VNNI: a step is one machine instruction.

An operand comes in words of 32 bits that hold two int16 (or four bytes, see `exact`), and one step multiplies a word of
the left operand by one of the right, half by half, and adds both products. At most one of the two is not zero, except
in `exact` and `exact_pairs`, so a step is a step of the datapath.

The registers of the datapath are scaled: a register of P bits that holds v is a machine register that holds
v * 2**(32 - P), and the operands come so scaled that their products are too. Then

- the clamp of ``vpdpwssds`` to int32 *is* the clamp to P bits: v * 2**s > 2**31 - 1 just if v > 2**(P-1) - 1, and
  v * 2**s < -2**31 just if v < -2**(P-1), with s = 32 - P. The machine clamps to 2**31 - 1 and not to
  (2**(P-1) - 1) * 2**s, so a clamped register carries a remainder 0 <= r < 2**s in its low s bits. All that is added
  later is a multiple of 2**s, so r stays until the next clamp; both comparisons above have the same outcome with r
  added on the left, and shifting right by s at the end drops it;
- the wrap of ``vpdpwssd`` to int32 is the wrap to P bits;
- a step overflows just if the two instructions differ: that counts events;
- a register that starts with the remainder r = 1 has it in the end just if no step was clamped: a clamp leaves r = 0 or
  r = 2**s - 1, and from then on r is one of those two. That marks overflow at no cost, if s >= 2.

The groups have the arguments of those of `vector`, in int32, except that

- `inner_low` is s, by which an inner register is shifted right before it is added to the outer one;
- `low` and `high` are the limits of the outer register where that saturates; where it wraps, `low` is its drop;
- `saturate_marked` puts something into `more` where an addition was changed, if not how often;
- those whose names end in `_on` start from the stored register, shifted left by `inner_low`, and have no outer one;
- `exact` starts from the stored register, shifted left by `inner_low`, if `inner_high` is -1, and from zero if that is
  0; it has no limits, and a step multiplies four unsigned bytes of the left word by four signed ones of the right word;
- `exact_pairs` does the same with two int16 in each word, and needs no VNNI;
- `saturated_pairs` starts from zero, needs no VNNI, and multiplies bytes as `exact` does, but the sum of the first two
  products and that of the others are clamped to int16.
"""

from __future__ import annotations

from typing import Any

from ptqsim.kernels.codegen.emit import Emitter
from ptqsim.kernels.codegen.geometry import ROWS
from ptqsim.kernels.codegen.group import Limits, Onward, Steps, compiled
from ptqsim.kernels.runtime.machine import DOT


class _Outer(Steps):
    """The outer addition; events are tracked if the inner steps track them."""

    tallest = ROWS
    wraps = False

    def end(self, emit: Emitter, stored: Any, register: Any, tracked: Any, limits: Limits) -> tuple[Any, Any]:
        total = emit.add(stored, emit.builder.ashr(register, limits.inner_low))
        if self.wraps:
            new = emit.shifted_back(total, limits.low)
        else:
            new = emit.smaller(emit.larger(total, limits.low), limits.high)
        return new, self.changed(emit, tracked, new, total, limits)

    def changed(self, emit: Emitter, tracked: Any, new: Any, total: Any, limits: Limits) -> Any:
        """Updated tracking after an addition that should give `total` gave `new`."""
        return tracked


class _Once(_Outer):
    """Either instruction alone."""

    fewer = 1

    def __init__(self, wraps: bool) -> None:
        self.wraps = wraps

    def step(self, emit: Emitter, register: Any, x: Any, w: Any, tracked: Any, limits: Limits) -> tuple[Any, Any]:
        return emit.dot("vpdpwssd" if self.wraps else "vpdpwssds", register, x, w), tracked


class _Counted(_Outer):
    """Both instructions: they differ where a step overflows."""

    tracks = "changes"

    def __init__(self, wraps: bool) -> None:
        self.wraps = wraps

    def step(self, emit: Emitter, register: Any, x: Any, w: Any, tracked: Any, limits: Limits) -> tuple[Any, Any]:
        clamped, wrapped = (emit.dot(name, register, x, w) for name in ("vpdpwssds", "vpdpwssd"))
        return (wrapped if self.wraps else clamped), self.changed(emit, tracked, clamped, wrapped, limits)

    def changed(self, emit: Emitter, tracked: Any, new: Any, total: Any, limits: Limits) -> Any:
        return emit.counted(tracked, emit.compare("!=", new, total), limits.one)


class _On(Onward):
    """One register, which is scaled while it takes products."""

    def begin(self, emit: Emitter, stored: Any, limits: Limits) -> Any:
        return emit.builder.shl(stored, limits.inner_low)

    def end(self, emit: Emitter, stored: Any, register: Any, tracked: Any, limits: Limits) -> tuple[Any, Any]:
        return emit.builder.ashr(register, limits.inner_low), tracked


class _OnceOn(_On, _Once):
    pass


class _CountedOn(_On, _Counted):
    pass


class _Marked(_Once):
    """The instruction that clamps, in registers with a mark that a clamp wipes out."""

    tracks = "ends"
    mark = 1

    def begin(self, emit: Emitter, stored: Any, limits: Limits) -> Any:
        return emit.constant(self.mark)

    def end(self, emit: Emitter, stored: Any, register: Any, tracked: Any, limits: Limits) -> tuple[Any, Any]:
        mark = emit.constant(self.mark)
        low_bits = emit.builder.sub(emit.builder.shl(emit.constant(1), limits.inner_low), emit.constant(1))
        lost = emit.builder.xor(emit.builder.and_(register, low_bits), mark)
        return super().end(emit, stored, register, emit.builder.or_(tracked, lost), limits)

    def changed(self, emit: Emitter, tracked: Any, new: Any, total: Any, limits: Limits) -> Any:
        return emit.builder.or_(tracked, emit.builder.xor(new, total))


class _Prefixes(Steps):
    tallest = ROWS
    tracks = "ranges"

    def step(self, emit: Emitter, register: Any, x: Any, w: Any, tracked: Any, limits: Limits) -> tuple[Any, Any]:
        total = emit.dot("vpdpwssd", register, x, w)
        tracked.see(total)
        return total, tracked

    def end(self, emit: Emitter, stored: Any, register: Any, tracked: Any, limits: Limits) -> tuple[Any, Any]:
        total = emit.add(stored, register)
        tracked.see(total)
        return total, tracked


class _Exact(Steps):
    fewer = 1

    def __init__(self, pairs: bool) -> None:
        self.pairs = pairs
        self.tallest = 4 if pairs else ROWS  # type: ignore[misc]

    def begin(self, emit: Emitter, stored: Any, limits: Limits) -> Any:
        return emit.builder.and_(emit.builder.shl(stored, limits.inner_low), limits.inner_high)

    def step(self, emit: Emitter, register: Any, x: Any, w: Any, tracked: Any, limits: Limits) -> tuple[Any, Any]:
        return (emit.add_pairs(register, x, w) if self.pairs else emit.dot("vpdpbusd", register, x, w)), tracked

    def end(self, emit: Emitter, stored: Any, register: Any, tracked: Any, limits: Limits) -> tuple[Any, Any]:
        return register, tracked


class _SaturatedPairs(Steps):
    fewer = 1

    def step(self, emit: Emitter, register: Any, x: Any, w: Any, tracked: Any, limits: Limits) -> tuple[Any, Any]:
        return emit.add_saturated_pairs(register, x, w), tracked

    def end(self, emit: Emitter, stored: Any, register: Any, tracked: Any, limits: Limits) -> tuple[Any, Any]:
        return register, tracked


saturate = compiled(_Once(wraps=False))
saturate_counted = compiled(_Counted(wraps=False))
saturate_marked = compiled(_Marked(wraps=False))
wrap = compiled(_Once(wraps=True))
wrap_counted = compiled(_Counted(wraps=True))
saturate_on = compiled(_OnceOn(wraps=False))
saturate_counted_on = compiled(_CountedOn(wraps=False))
wrap_on = compiled(_OnceOn(wraps=True))
wrap_counted_on = compiled(_CountedOn(wraps=True))
prefixes = compiled(_Prefixes())
exact_pairs = compiled(_Exact(pairs=True))
saturated_pairs = compiled(_SaturatedPairs())
# What calls both is compiled without VNNI too, and then calls the other alone.
exact = compiled(_Exact(pairs=False)) if DOT else exact_pairs
