"""Groups of saturating additions in int16, by the machine's addition that clamps: a step is two or three instructions.

The groups have the arguments of those of `vector`, but that `strips` are int32 with the same int16 in both halves, as
the machine copies a word of 32 bits to all lanes while it loads it, and of 16 bits with an instruction more. `panels`
and `registers` are int16. Products stay within int16, and so does whatever is added to a register.

- `fill`: the inner register fills the 16 bits: one of P bits that holds v is v * 2**s in the machine, s = 16 - P =
  `inner_low`, and so are the products. So the machine's limits are its own. It clamps to 2**15 - 1, and not to
  (2**(P-1) - 1) * 2**s; that remainder does no harm (see `words`). At the end it is shifted right by s.
- `lift`: of a register whose products would not fit int16 when they are scaled. It is lifted by 2**15 - 1 -
  `inner_high`, so that its upper limit is the machine's, and its lower one takes a comparison.

Then it is added to the outer register, whose limits are `low` and `high`.
"""

from __future__ import annotations

from typing import Any

from ptqsim.kernels.codegen.emit import Emitter
from ptqsim.kernels.codegen.group import Limits, Steps, compiled


class _Halves(Steps):
    fewer = 2

    def value(self, emit: Emitter, register: Any, limits: Limits) -> Any:
        """Value that the inner register represents."""
        raise NotImplementedError

    def end(self, emit: Emitter, stored: Any, register: Any, tracked: Any, limits: Limits) -> tuple[Any, Any]:
        total = emit.saturating_add(stored, self.value(emit, register, limits))
        return emit.smaller(emit.larger(total, limits.low), limits.high), tracked


class _Fill(_Halves):
    def step(self, emit: Emitter, register: Any, x: Any, w: Any, tracked: Any, limits: Limits) -> tuple[Any, Any]:
        return emit.saturating_add(register, emit.builder.mul(x, w)), tracked

    def value(self, emit: Emitter, register: Any, limits: Limits) -> Any:
        return emit.builder.ashr(register, limits.inner_low)


class _Lift(_Halves):
    def begin(self, emit: Emitter, stored: Any, limits: Limits) -> Any:
        return self._lift(emit, limits)

    def step(self, emit: Emitter, register: Any, x: Any, w: Any, tracked: Any, limits: Limits) -> tuple[Any, Any]:
        low = emit.add(limits.inner_low, self._lift(emit, limits))
        return emit.larger(emit.saturating_add(register, emit.builder.mul(x, w)), low), tracked

    def value(self, emit: Emitter, register: Any, limits: Limits) -> Any:
        return emit.builder.sub(register, self._lift(emit, limits))

    @staticmethod
    def _lift(emit: Emitter, limits: Limits) -> Any:
        return emit.builder.sub(emit.constant((1 << 15) - 1), limits.inner_high)


fill = compiled(_Fill())
lift = compiled(_Lift())
