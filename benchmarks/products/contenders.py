"""A case as calls to be timed, each with what its result has to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ptqsim as pq
from benchmarks.products import oracle
from benchmarks.products.cases import Case
from benchmarks.products.oracle import Expected
from benchmarks.products.shapes import Shape


@dataclass(slots=True)
class Contender:
    """A call, its last result, and what is wrong with it."""

    call: Callable[[], Any]
    errors: Callable[[Any], int]
    last: Any = field(default=None, init=False)

    def __call__(self) -> None:
        """Call, and keep the result."""
        # The baseline keeps none: as there, a result may be where the one before was, in the cache.
        self.last = None
        self.last = self.call()

    def wrong(self) -> int:
        """Number of outputs of the last call that differ from the oracle's."""
        return self.errors(self.last)


# No sum of any case overflows it.
_WIDE = pq.Accumulator(60, "saturate")


class Oracle:
    """Results of several datapaths for one pair of operands; nothing is computed twice.

    Parameters
    ----------
    a, b : pq.QuantizedArray
        The operands.
    """

    def __init__(self, a: pq.QuantizedArray, b: pq.QuantizedArray) -> None:
        self._a, self._b = a.aligned(), b.aligned()
        self._stepped: dict[pq.Accumulator, Expected] = {}

    def stepped(self, accumulator: pq.Accumulator) -> Expected:
        """One addition after the other."""
        if accumulator not in self._stepped:
            a, b = (array if array.ndim > 2 else array[None] for array in (self._a, self._b))
            found = oracle.run_in_blocks(a, b, accumulator)
            shape = (*self._a.shape[:-1], self._b.shape[-1])
            self._stepped[accumulator] = Expected(found.acc.reshape(shape), found.events.reshape(shape), found.prefixes)
        return self._stepped[accumulator]

    def product(self, bits: int = 60) -> NDArray[np.int64]:
        """The exact product, reduced at the end."""
        return oracle.product(self._a, self._b, bits)

    def bits_needed(self) -> int:
        """Width of a register that holds every exact prefix sum."""
        low, high = self.stepped(_WIDE).prefixes
        return max((value if value >= 0 else ~value).bit_length() for value in (low, high)) + 1

    def expected(self, case: Case) -> Expected:
        """Result of the case's datapath."""
        if case.bits_as_needed or case.way in ("width", "prefixes"):
            return self.stepped(_WIDE)  # nothing overflows
        modes = {case.accumulator.overflow, case.accumulator.inner_overflow}
        if modes == {"wrap"} and not case.statistics:
            acc = self.product(case.accumulator.bits)
            return Expected(acc, np.zeros_like(acc), (0, 0))
        return self.stepped(case.accumulator)


def wrong_outputs(result: pq.MatmulResult, right: Expected, statistics: bool) -> int:
    """Number of outputs that differ; all of them if the outputs are right and their statistics are wrong."""
    wrong = int(np.count_nonzero(result.acc != right.acc))
    if wrong or not statistics:
        return wrong
    assert result.overflow is not None
    said = (result.overflow.outputs, result.overflow.events)
    return 0 if said == (right.clamped, int(right.events.sum())) else result.acc.size


def contenders(
    case: Case, shape: Shape, a: pq.QuantizedArray, b: pq.QuantizedArray, known: Oracle
) -> dict[str, Contender]:
    """The calls of a case.

    "prepared": both operands have been multiplied before, as numpy's float32 arrays exist before. "fresh": the left
    operand is new in each call, and in attention the right one too. Every call has arrays of its own, so that what one
    of them prepares is not another's.
    """

    def new(array: pq.QuantizedArray) -> pq.QuantizedArray:
        return pq.QuantizedArray(array.codes, array.format)

    right = known.expected(case)
    if case.channels:
        assert isinstance(b.format, pq.Uniform)
        steps = np.linspace(0.5, 2.0, b.shape[-1])
        b = pq.QuantizedArray(b.codes, replace(b.format, scale=b.format.scale * steps, axis=-1))

    def check(result: pq.MatmulResult) -> int:
        return wrong_outputs(result, right, case.statistics)

    accumulator, statistics = case.accumulator, case.statistics
    kept_a, kept_b, weights = new(a), new(b), new(b)

    def right_operand() -> pq.QuantizedArray:
        return new(b) if shape.attention else weights

    match case.way:
        case "real64" | "real32":
            result = pq.matmul(a, b, accumulator)
            reals = right.acc * np.asarray(a.format.steps * b.format.steps)
            out = np.empty(reals.shape, np.float32) if case.way == "real32" else None
            if out is not None:
                reals = reals.astype(np.float32)
            return {
                "prepared": Contender(lambda: result.real(out), lambda found: int(np.count_nonzero(found != reals)))
            }
        case "packed":
            data, number_format, sizes = a.pack(), a.format, a.shape

            def unpacked() -> pq.MatmulResult:
                left = pq.QuantizedArray.from_packed(data, number_format, sizes)
                return pq.matmul(left, right_operand(), accumulator, statistics)

            return {"fresh": Contender(unpacked, check)}
        case "width" | "prefixes":
            bits = known.bits_needed()

            def differs(found: int) -> int:
                return 0 if found == bits else shape.outputs

            if case.way == "prefixes":
                overflow = pq.matmul(kept_a, kept_b, accumulator).overflow

                def passed() -> int:
                    assert overflow is not None
                    overflow.__dict__.pop("prefixes", None)  # found again, as functools.cached_property documents
                    return overflow.bits_needed

                return {"prepared": Contender(passed, differs)}

            def width(left: pq.QuantizedArray, right: pq.QuantizedArray) -> int:
                found = pq.matmul(left, right, accumulator).overflow
                assert found is not None
                return found.bits_needed

            return {
                "prepared": Contender(lambda: width(kept_a, kept_b), differs),
                "fresh": Contender(lambda: width(new(a), right_operand()), differs),
            }
    return {
        "prepared": Contender(lambda: pq.matmul(kept_a, kept_b, accumulator, statistics), check),
        "fresh": Contender(lambda: pq.matmul(new(a), right_operand(), accumulator, statistics), check),
    }
