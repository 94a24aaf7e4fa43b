"""Golden vectors: inputs of a datapath and its outputs by the reference in Python integers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ptqsim.common.progress import Progress, silent
from ptqsim.datapath import reference
from ptqsim.datapath.result_bits import result_bits
from ptqsim.datapath.spec import Accumulator, Alignment
from ptqsim.errors import AccumulatorOverflowError
from ptqsim.formats.array import QuantizedArray
from ptqsim.formats.arrays.immutable import Constructed, sealed
from ptqsim.gemm import MatmulResult, matmul

TRACE_COLUMNS: Final = ("depth_index", "register", "a_range", "b_range", "event", "before", "term", "after", "exact")
REGISTERS: Final = ("accumulator", "inner")


class Trapped(NamedTuple):
    """The overflow event that a trapping datapath reports: the first output in C order that has one, and its first.

    `step` is the depth index l of the (last) product that the failing addition brings in; `register` is "accumulator"
    or "inner", of `bits` bits.
    """

    element: tuple[int, ...]
    step: int
    register: str
    bits: int


@dataclass(frozen=True, slots=True, eq=False)
class GoldenVectors(Constructed):
    """Codes in, accumulators out, and every step of one output.

    Parameters
    ----------
    a : QuantizedArray
        [..., M, K], the left operand.
    b : QuantizedArray
        [..., K, N], the right operand; its leading dimensions are those of `a`.
    accumulator : Accumulator
        The datapath.
    acc : int64 array or None
        int64 [..., M, N], read-only, what the accumulators hold at the end, in units of a.format.step *
        b.format.step; None if the datapath traps.
    trapped : Trapped or None
        The event that it traps with, None if there is none.
    overflow : tuple[int, int] or None
        Number of outputs with an overflow event, and number of events; None if the datapath traps.
    traced : tuple of int
        Index of the output whose steps are recorded.
    trace : int64 array
        int64 [steps, 9], the columns being `TRACE_COLUMNS`, as `ptqsim.reference.trace` gives them; the register is
        its index in `REGISTERS`. Read-only.
    """

    a: QuantizedArray
    b: QuantizedArray
    accumulator: Accumulator
    acc: NDArray[np.int64] | None
    trapped: Trapped | None
    overflow: tuple[int, int] | None
    traced: tuple[int, ...]
    trace: NDArray[np.int64]

    def __post_init__(self) -> None:
        object.__setattr__(self, "trace", sealed(self.trace))
        if self.acc is not None:
            object.__setattr__(self, "acc", sealed(self.acc))

    @property
    def output_shape(self) -> tuple[int, ...]:
        """[..., M, N]."""
        return (*self.a.shape[:-1], self.b.shape[-1])

    @property
    def output_bits(self) -> int:
        """Bits of an output word: P, or what the adder behind deferred registers needs if that is more."""
        bits = self.accumulator.bits
        if self.accumulator.alignment != Alignment.DEFERRED:
            return bits
        return max(bits, result_bits(self.a.format, self.b.format, self.a.shape[-1], self.accumulator))


def compute(
    a: QuantizedArray,
    b: QuantizedArray,
    accumulator: Accumulator,
    traced: Sequence[int] | None = None,
    progress: Progress = silent,
) -> GoldenVectors:
    """Golden vectors of one product: from `ptqsim.reference`, and compared with `ptqsim.matmul`.

    Parameters
    ----------
    a : QuantizedArray
        [..., M, K], in a shift-alignable format.
    b : QuantizedArray
        [..., K, N], likewise. Leading dimensions broadcast as in numpy, and are written out in the result.
    accumulator : Accumulator
        The datapath.
    traced : sequence of int, optional
        Index of the output to trace; by default the first with an overflow event, or else the first.
    progress : Progress, optional
        Called with the outputs done and all outputs.

    Raises
    ------
    ValueError
        If a dimension is zero, `traced` is no index of an output, or `ptqsim.matmul` refuses the operands.
    RuntimeError
        If reference and kernels disagree: a defect of ptqsim.
    """
    simulated = _simulated(a, b, accumulator)
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = _broadcast(a, lead), _broadcast(b, lead)
    shape = (*a.shape[:-1], b.shape[-1])
    if 0 in (*shape, a.shape[-1]):
        raise ValueError(
            f"a {a.shape} and b {b.shape} have no outputs or no products; every dimension must be 1 or more"
        )
    element = None if traced is None else _checked_element(traced, shape)
    expected = _outputs(a, b, accumulator, shape, progress)
    _compare(expected, simulated)
    overflow = None
    if isinstance(simulated, MatmulResult) and simulated.overflow is not None:
        overflow = simulated.overflow.outputs, simulated.overflow.events
    if element is None:
        element = _interesting(simulated, shape)
    output, trace = _traced(a, b, accumulator, element)
    acc, trapped = (None, expected) if isinstance(expected, Trapped) else (expected, None)
    if acc is not None and acc[element] != output:
        raise RuntimeError(f"the reference gives {acc[element]} and by its trace {output} at {element}: report this")
    return GoldenVectors(a, b, accumulator, acc, trapped, overflow, element, trace)


def _simulated(a: QuantizedArray, b: QuantizedArray, accumulator: Accumulator) -> MatmulResult | Trapped:
    try:
        return matmul(a, b, accumulator)
    except AccumulatorOverflowError as error:
        return Trapped(error.element, error.step, error.register, error.bits)


def _outputs(
    a: QuantizedArray, b: QuantizedArray, accumulator: Accumulator, shape: tuple[int, ...], progress: Progress
) -> NDArray[np.int64] | Trapped:
    """Every output by the reference, or the first event of a trapping datapath."""
    acc = np.empty(shape, np.int64)
    for done, (element, row, column) in enumerate(_pairs(a, b, accumulator)):
        try:
            acc[element] = reference.dot(row, column, accumulator)
        except AccumulatorOverflowError as error:
            return Trapped(element, error.step, error.register, error.bits)
        if not done % shape[-1]:
            progress(done, acc.size)
    progress(acc.size, acc.size)
    return acc


def _compare(expected: NDArray[np.int64] | Trapped, simulated: MatmulResult | Trapped) -> None:
    if isinstance(expected, Trapped) or isinstance(simulated, Trapped):
        same = expected == simulated if isinstance(expected, Trapped) else False
    else:
        same = bool(np.array_equal(expected, simulated.acc))
    if not same:
        raise RuntimeError(f"the reference gives {expected!r} and the kernels {simulated!r}: please report this defect")


def _interesting(simulated: MatmulResult | Trapped, shape: tuple[int, ...]) -> tuple[int, ...]:
    if isinstance(simulated, Trapped):
        return simulated.element
    first = None if simulated.overflow is None else simulated.overflow.first
    return (0,) * len(shape) if first is None else first.element


def _checked_element(traced: Sequence[int], shape: tuple[int, ...]) -> tuple[int, ...]:
    element = tuple(traced)
    if len(element) != len(shape) or not all(0 <= i < n for i, n in zip(element, shape, strict=True)):
        raise ValueError(f"the output to trace must be an index into {shape}, got {element}: try {(0,) * len(shape)}")
    return element


def _traced(
    a: QuantizedArray, b: QuantizedArray, accumulator: Accumulator, element: tuple[int, ...]
) -> tuple[int, NDArray[np.int64]]:
    *lead, i, j = element
    one_a, one_b = a[(*lead, slice(i, i + 1))], b[(*lead, slice(None), slice(j, j + 1))]
    _, row, column = next(_pairs(one_a, one_b, accumulator))
    output, steps = reference.trace(row, column, accumulator)
    rows = [
        (s.depth_index, REGISTERS.index(s.register), *s.pair, int(s.event), s.before, s.term, s.after, s.exact)
        for s in steps
    ]
    return output, np.array(rows, np.int64)


def _pairs(
    a: QuantizedArray, b: QuantizedArray, accumulator: Accumulator
) -> Iterator[tuple[tuple[int, ...], list[Any], list[Any]]]:
    """Index, row and column of every output in C order, as the reference takes them."""
    a_values, b_values = _meanings(a, accumulator), _meanings(b, accumulator)
    for lead in np.ndindex(a.shape[:-2]):
        columns = [[b_values[code] for code in column] for column in b.codes[lead].T.tolist()]
        for i, codes in enumerate(a.codes[lead].tolist()):
            row = [a_values[code] for code in codes]
            for j, column in enumerate(columns):
                yield (*lead, i, j), row, column


def _meanings(array: QuantizedArray, accumulator: Accumulator) -> dict[int, Any]:
    """Meaning of each code of the array, with all that the datapath has to know of it."""
    operands = {code: reference.operand(code, array.format) for code in np.unique(array.codes).tolist()}
    if reference.needs_operands(accumulator):
        return operands
    return {code: operand.aligned for code, operand in operands.items()}


def _broadcast(array: QuantizedArray, lead: tuple[int, ...]) -> QuantizedArray:
    return QuantizedArray(np.broadcast_to(array.codes, (*lead, *array.shape[-2:])), array.format)
