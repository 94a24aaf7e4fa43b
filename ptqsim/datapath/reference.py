"""The executable specification: the datapath in plain Python integers.

Written to be read, and independent of every kernel: no arrays, no fixed-width types. Where the written specification is
silent, this file decides:

- *step*. An addition is named by the depth index l of the (last) product that it brings in, in every order.
- *first event*. The first output element in C order that has an event, and the first step of that element.
- *split*. The tile register starts each tile at zero and obeys ``inner_overflow``, by default the overflow mode of the
  P-bit register; an overflow in either register is an event.
- *deferred*. There is one register (and in a split order one tile register) for every pair of ranges. A product is
  added to the registers of its pair only, so its range, which is the flag of the code, has to be known. At the end the
  registers are shifted and summed without any overflow: that adder is as wide as its result.
- *correction*. With ``zero_point="correction"`` products are those of the codes' integers, before their zero points are
  subtracted. The constant and the rest, which make up for that, are steps of depth index -1 and K, each only where the
  zero point that it comes from is not 0. Every deferred register has both for its own products.
- *prefix*. Exact prefix sums are those of the unbounded registers in the order given, the empty one (zero) included; a
  width is what the widest of them needs.
- *trap*. The error names the first event, and the width with which the register that failed would have held every
  prefix of the whole product.

Operands are Python integers (aligned values), or `Operand` (mantissa, shift, range and zero point of a code), in nested
lists.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from ptqsim.datapath.codes.operand import Operand, operand, operands
from ptqsim.datapath.nested import Nested, mapped, mapped_outputs
from ptqsim.datapath.order import Sequential
from ptqsim.datapath.register import Correction, Step, add, first_event, fits, plain, saturate, steps, wrap
from ptqsim.datapath.requantization.reference import requantized
from ptqsim.datapath.spec import Accumulator, Alignment, OverflowMode, ZeroPoint, bits_for
from ptqsim.datapath.statistics import FirstEvent, OverflowStatistics, PrefixRange
from ptqsim.errors import AccumulatorOverflowError, ArgumentTypeError
from ptqsim.formats.array import QuantizedArray
from ptqsim.formats.arrays.immutable import checked_anew

__all__ = [
    "Correction", "Operand", "Step", "add", "dot", "first_event", "fits", "matmul", "matmul_with_statistics", "operand",
    "operands", "requantized", "saturate", "steps", "trace", "wrap",
]  # fmt: skip

# --- one output -----------------------------------------------------------------------------------------------------


def trace(a_row: Sequence[Any], b_column: Sequence[Any], accumulator: Accumulator) -> tuple[int, list[Step]]:
    """One output and every step on the way to it.

    Parameters
    ----------
    a_row, b_column : sequence
        K operands each, integers or `Operand`.
    accumulator : Accumulator
        The datapath. Under ``trap`` the registers go on unbounded, and events are in the steps.

    Returns
    -------
    tuple of int and list of Step
        The output in units of scale_a * scale_b, and the additions in the order in which they happen; deferred
        registers one after the other.

    Raises
    ------
    ValueError
        If the lengths differ, or the operands are integers and alignment is deferred or zero points are corrected.
    """
    accumulator = checked_anew("accumulator", accumulator, Accumulator)
    _check_lengths(a_row, b_column)
    if needs_operands(accumulator):
        _check_operands(a_row, b_column, accumulator)
    both = list(zip(a_row, b_column, strict=True))
    if accumulator.alignment != Alignment.DEFERRED:
        products, correction = _terms([(_shifted(x), _shifted(w)) for x, w in both], accumulator)
        done = list(steps(products, accumulator, correction=correction))
        return (done[-1].after if done else 0), done
    output, done = 0, []
    for pair in sorted({(x.range, w.range) for x, w in both}):
        mine = [(x, w) if (x.range, w.range) == pair else None for x, w in both]
        shift = next(x.shift + w.shift for x, w in filter(None, mine))
        products, correction = _terms(mine, accumulator)
        own = list(steps(products, accumulator, pair, correction))
        output += own[-1].after << shift
        done += own
    return output, done


def _terms(both: Sequence[tuple[Operand, Operand] | None], accumulator: Accumulator) -> tuple[list[int], Correction]:
    """The products of one register, with None for 0, and what corrects them."""
    if accumulator.zero_point == ZeroPoint.OPERAND:
        return [one[0].mantissa * one[1].mantissa if one else 0 for one in both], Correction()
    own = [one for one in both if one]
    constant = sum(x.zero_point * w.zero_point - x.zero_point * w.integer for x, w in own)
    rest = sum(-w.zero_point * x.integer for x, w in own)
    correction = Correction(
        constant if any(x.zero_point for x, _ in own) else None, rest if any(w.zero_point for _, w in own) else None
    )
    return [one[0].integer * one[1].integer if one else 0 for one in both], correction


def _shifted(value: Any) -> Operand:
    """The operand with its shift done."""
    return Operand(_aligned(value), 0, 0, value.zero_point if isinstance(value, Operand) else 0)


def dot(a_row: Sequence[Any], b_column: Sequence[Any], accumulator: Accumulator | None = None) -> int:
    """One output: `trace` without the record of steps, and quick for integers in sequential order.

    Parameters
    ----------
    a_row, b_column : sequence
        K operands each, integers or `Operand`.
    accumulator : Accumulator, optional
        The datapath; None is a register without bounds.

    Raises
    ------
    AccumulatorOverflowError
        Under ``trap``; its element is the empty tuple.
    ValueError
        As for `trace`.
    """
    accumulator = _checked(accumulator)
    if accumulator is not None and needs_operands(accumulator):
        return _traced(a_row, b_column, accumulator)
    if isinstance(next(iter(a_row), None), Operand) or isinstance(next(iter(b_column), None), Operand):
        a_row, b_column = [_aligned(x) for x in a_row], [_aligned(w) for w in b_column]
    else:
        a_row, b_column = list(map(operator.index, a_row)), list(map(operator.index, b_column))
    if accumulator is None:
        _check_lengths(a_row, b_column)
        return sum(map(operator.mul, a_row, b_column))
    if not isinstance(accumulator.order, Sequential):
        return _traced(a_row, b_column, accumulator)
    low, high, bits = accumulator.minimum, accumulator.maximum, accumulator.bits
    bounded = wrap if accumulator.overflow == OverflowMode.WRAP else saturate
    register = 0
    for x, w in zip(a_row, b_column, strict=True):
        register += x * w
        if not low <= register <= high:
            if accumulator.overflow == OverflowMode.TRAP:
                return _traced(a_row, b_column, accumulator)  # which raises
            register = bounded(register, bits)
    return register


def _traced(a_row: Sequence[Any], b_column: Sequence[Any], accumulator: Accumulator) -> int:
    output, done = trace(a_row, b_column, accumulator)
    if accumulator.overflow == OverflowMode.TRAP:
        _raise_first([((), done)])
    return output


# --- a matrix of outputs --------------------------------------------------------------------------------------------


def matmul(a: Nested | QuantizedArray, b: Nested | QuantizedArray, accumulator: Accumulator | None) -> Nested:
    """The product of two matrices, or of two batches of them.

    Parameters
    ----------
    a : Nested or QuantizedArray
        [..., M, K], a quantized array, or aligned integers (or `Operand`) in nested lists.
    b : Nested or QuantizedArray
        [..., K, N], likewise. Leading dimensions broadcast as in numpy.
    accumulator : Accumulator or None
        The datapath; None is a register without bounds.

    Returns
    -------
    nested lists of int
        [..., M, N], in units of scale_a * scale_b.

    Raises
    ------
    AccumulatorOverflowError
        Under ``trap``.
    ValueError
        As for `trace`, or if the leading dimensions do not broadcast.
    """
    accumulator = _checked(accumulator)
    if accumulator is not None and accumulator.overflow == OverflowMode.TRAP:
        return matmul_with_statistics(a, b, accumulator)[0]
    return mapped_outputs(
        _nested(a, accumulator), _nested(b, accumulator), lambda row, column, _: dot(row, column, accumulator)
    )


def matmul_with_statistics(
    a: Nested | QuantizedArray, b: Nested | QuantizedArray, accumulator: Accumulator
) -> tuple[Nested, OverflowStatistics]:
    """As `matmul`, with the statistics of every step."""
    accumulator = checked_anew("accumulator", accumulator, Accumulator)
    traced: list[tuple[tuple[int, ...], list[Step]]] = []

    def output(row: Sequence[Any], column: Sequence[Any], element: tuple[int, ...]) -> int:
        value, done = trace(row, column, accumulator)
        traced.append((element, done))
        return value

    outputs = mapped_outputs(_nested(a, accumulator), _nested(b, accumulator), output)
    if accumulator.overflow == OverflowMode.TRAP:
        _raise_first(traced)
    failed = [(element, step) for element, done in traced if (step := first_event(done)) is not None]
    events = sum(step.event for _, done in traced for step in done)
    first = FirstEvent(failed[0][0], failed[0][1].depth_index) if failed else None
    every = [step for _, done in traced for step in done]
    outer = [step.exact for step in every if step.register == "accumulator"]
    inner = [step.exact for step in every if step.register == "inner"]
    prefixes = PrefixRange(min([0, *outer]), max([0, *outer]), min([0, *inner]), max([0, *inner]))
    return outputs, OverflowStatistics(len(failed), events, lambda: first, lambda: prefixes)


def _raise_first(traced: Sequence[tuple[tuple[int, ...], list[Step]]]) -> None:
    for element, done in traced:
        failed = first_event(done)
        if failed is not None:
            sums = [step.exact for _, other in traced for step in other if step.register == failed.register]
            needed = bits_for(min(sums), max(sums))
            raise AccumulatorOverflowError(element, failed.depth_index, failed.register, failed.bits, needed)


def _checked(accumulator: Accumulator | None) -> Accumulator | None:
    return None if accumulator is None else checked_anew("accumulator", accumulator, Accumulator)


def _nested(array: Nested | QuantizedArray, accumulator: Accumulator | None) -> Nested:
    if not isinstance(array, QuantizedArray):
        return array
    nested = operands(array)
    whole = accumulator is not None and needs_operands(accumulator)
    return nested if whole else mapped(nested, _aligned)


def _aligned(value: Any) -> int:
    return plain(value.aligned if isinstance(value, Operand) else value)  # type: ignore[no-any-return]


def _check_lengths(a_row: Sequence[Any], b_column: Sequence[Any]) -> None:
    if len(a_row) != len(b_column):
        raise ValueError(f"a row of {len(a_row)} operands cannot meet a column of {len(b_column)}")


def needs_operands(accumulator: Accumulator) -> bool:
    """True if the datapath has to know more of a code than its aligned value."""
    return accumulator.alignment == Alignment.DEFERRED or accumulator.zero_point == ZeroPoint.CORRECTION


def _check_operands(a_row: Sequence[Any], b_column: Sequence[Any], accumulator: Accumulator) -> None:
    if all(isinstance(value, Operand) for value in (*a_row, *b_column)):
        return
    if accumulator.alignment == Alignment.DEFERRED:
        why = "deferred alignment keeps one register per range, and an integer does not say which range it came from"
    else:
        why = (
            "a correction multiplies what codes are before zero points are subtracted, and an integer has lost its own"
        )
    raise ArgumentTypeError(f"{why}; give QuantizedArray or Operand instead")
