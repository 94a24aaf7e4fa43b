"""From registers to the result of a datapath: combine, count, and raise if it traps."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptqsim.datapath import reference
from ptqsim.datapath.register import Step, first_event
from ptqsim.datapath.spec import Accumulator, OverflowMode
from ptqsim.datapath.statistics import FirstEvent, OverflowStatistics, PrefixRange, no_event
from ptqsim.errors import AccumulatorOverflowError
from ptqsim.formats.array import QuantizedArray
from ptqsim.gemm.accumulation import Accumulated
from ptqsim.gemm.exact import exact_product
from ptqsim.gemm.results.prefixes import prefixes
from ptqsim.gemm.results.result import Certificate, MatmulResult


def combined(
    a: QuantizedArray, b: QuantizedArray, accumulator: Accumulator, parts: list[Accumulated], shifts: list[int],
    shape: tuple[int, ...], statistics: bool,
) -> MatmulResult:  # fmt: skip
    """The result of all registers: each shifted by its alignment and summed (PTQ4ViT, Eq. 5).

    Raises
    ------
    AccumulatorOverflowError
        Under ``trap``, if a register overflowed.
    """
    found: OverflowStatistics | None = None
    if counted := [part.events for part in parts if part.events is not None]:
        found = _counted(a, b, accumulator, parts, counted, shape)
    elif statistics:
        found = OverflowStatistics(0, 0, no_event, partial(_range_of_prefixes, parts, accumulator))
    if len(parts) == 1:  # its shift is 0
        _, acc, _, kernel, certificate, exact, _ = parts[0]
    else:
        acc = _shifted_sum([part.acc for part in parts], shifts)
        kernel = ", ".join(dict.fromkeys(part.kernel for part in parts))
        certificate = _joined([part.certificate for part in parts])
        exact = all(part.exact is True for part in parts) or _is_exact(acc, parts, shifts)
    scale = a.format.steps * b.format.steps
    return MatmulResult(acc.reshape(shape), scale, found if statistics else None, kernel, certificate, exact)


def _is_exact(acc: NDArray[np.int64], parts: list[Accumulated], shifts: list[int]) -> Callable[[], bool]:
    """True if the sum is exact; computed on demand. Registers that are all wrong can still make a right sum."""
    return lambda: np.array_equal(acc, _shifted_sum([exact_product(part.product).acc for part in parts], shifts))


def _range_of_prefixes(parts: list[Accumulated], accumulator: Accumulator) -> PrefixRange:
    each = (
        prefixes(part.product, accumulator) if part.correction is None else part.correction.prefixes(accumulator)
        for part in parts
    )
    return reduce(PrefixRange.joined, each)


def _counted(
    a: QuantizedArray, b: QuantizedArray, accumulator: Accumulator, parts: list[Accumulated],
    counted: list[NDArray[np.int32]], shape: tuple[int, ...],
) -> OverflowStatistics:  # fmt: skip
    """The events of all registers; raises the first under ``trap``."""

    def failure() -> tuple[tuple[int, ...], Step]:
        return _first_failure(a, b, accumulator, events, shape)

    def first() -> FirstEvent:
        element, step = failure()
        return FirstEvent(element, step.depth_index)

    # A register counts one event per step at most; those of several are summed in a wider type.
    events: NDArray[Any] = counted[0] if len(counted) == 1 else np.asarray(np.sum(counted, axis=0, dtype=np.int64))
    overflowing = int(np.count_nonzero(events))
    total, ranges = int(events.sum(dtype=np.int64)), partial(_range_of_prefixes, parts, accumulator)
    statistics = OverflowStatistics(overflowing, total, first, ranges)
    if overflowing and accumulator.overflow == OverflowMode.TRAP:
        element, step = failure()
        inner = step.register == "inner"
        width = statistics.inner_bits_needed if inner else statistics.bits_needed
        raise AccumulatorOverflowError(element, step.depth_index, step.register, step.bits, width)
    return statistics


def _shifted_sum(registers: list[NDArray[np.int64]], shifts: list[int]) -> NDArray[np.int64]:
    total = np.zeros_like(registers[0])
    for register, shift in zip(registers, shifts, strict=True):
        total += register << shift
    return total


def _first_failure(
    a: QuantizedArray, b: QuantizedArray, accumulator: Accumulator, events: NDArray[Any], shape: tuple[int, ...]
) -> tuple[tuple[int, ...], Step]:
    """The first output element with an event, and its first failing step as the reference sees it."""
    element = tuple(int(i) for i in np.unravel_index(int(np.argmax(events != 0)), shape))
    *lead, _, j = element
    index: tuple[Any, ...] = (*lead, slice(None), j)
    row = np.broadcast_to(a.codes, (*shape[:-2], *a.shape[-2:]))[element[:-1]]
    column = np.broadcast_to(b.codes, (*shape[:-2], *b.shape[-2:]))[index]
    meanings = a.format.unscaled(), b.format.unscaled()
    operands = [reference.operands(QuantizedArray(c, f)) for c, f in zip((row, column), meanings, strict=True)]
    step = first_event(reference.trace(operands[0], operands[1], accumulator)[1])
    if step is None:
        raise AssertionError(f"the kernel counted an overflow at {element} that the reference does not see")
    return element, step


def _joined(certificates: list[Certificate]) -> Certificate:
    outputs = certificates[0].outputs
    doubtful = sum(outputs - certificate.certified for certificate in certificates)
    return Certificate(
        ", ".join(dict.fromkeys(certificate.name for certificate in certificates)),
        max(certificate.bits for certificate in certificates),
        max(0, outputs - doubtful),  # at least: the doubtful outputs of two registers may be the same ones
        outputs,
        "; ".join(f"register {index}: {certificate.why}" for index, certificate in enumerate(certificates)),
    )
