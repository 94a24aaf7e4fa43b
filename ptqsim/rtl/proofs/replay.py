"""Counterexamples as codes: what the claims above say in words, shown on the simulator and on the hardware."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from ptqsim.datapath import bounds
from ptqsim.datapath.order import Sequential
from ptqsim.datapath.spec import Accumulator, Alignment, OverflowMode, ZeroPoint
from ptqsim.formats.array import QuantizedArray
from ptqsim.formats.base import NumberFormat
from ptqsim.gemm import matmul
from ptqsim.rtl.proofs.arithmetic import overflowing_codes


@dataclass(frozen=True, slots=True, eq=False)
class Counterexample:
    """Vectors, and the datapaths that treat them differently.

    Parameters
    ----------
    what : str
        Description of what they show.
    a, b : QuantizedArray
        [1, K] and [K, 1].
    accumulators : tuple of Accumulator
        The datapaths.
    outputs : tuple of int
        Result of each.
    """

    what: str
    a: QuantizedArray
    b: QuantizedArray
    accumulators: tuple[Accumulator, ...]
    outputs: tuple[int, ...]


def narrower_than_the_bound(a: NumberFormat, b: NumberFormat, depth: int) -> Counterexample:
    """Codes with which one bit less than `bounds` names overflows."""
    bits = bounds.required_bits(a, b, depth)
    found = overflowing_codes(a, b, depth, bits - 1)
    if found is None:
        raise RuntimeError(f"{bits - 1} bits hold all sums of {depth} products: the bound of {bits} bits is not tight")
    row, column = _codes(a, [found[0]] * found[2]), _codes(b, [found[1]] * found[2])
    accumulators = (Accumulator(bits), Accumulator(bits - 1))
    outputs = tuple(int(matmul(row, column.reshape(-1, 1), one).acc[0, 0]) for one in accumulators)
    what = f"{found[2]} products: {bits} bits hold the sum, {bits - 1} do not"
    return Counterexample(what, row, column.reshape(-1, 1), accumulators, outputs)


def deferred_saturates_otherwise(a: NumberFormat, b: NumberFormat, bits: int) -> Counterexample:
    """The shortest sequence of corner codes that saturates otherwise if the shift is deferred.

    Raises
    ------
    ValueError
        If no sequence of up to three does: the register is too wide.
    """
    product_aligned = Accumulator(bits, OverflowMode.SATURATE, Sequential(), Alignment.PRODUCT)
    both = product_aligned, replace(product_aligned, alignment=Alignment.DEFERRED)
    return _told_apart("deferred alignment saturates otherwise", a, b, both)


def correction_saturates_otherwise(a: NumberFormat, b: NumberFormat, bits: int) -> Counterexample:
    """The shortest sequence of corner codes that saturates otherwise if zero points are corrected for.

    Raises
    ------
    ValueError
        If no sequence of up to three does: the register is too wide.
    """
    subtracted = Accumulator(bits, OverflowMode.SATURATE)
    both = subtracted, replace(subtracted, zero_point=ZeroPoint.CORRECTION)
    return _told_apart("correction of zero points saturates otherwise", a, b, both)


def _told_apart(what: str, a: NumberFormat, b: NumberFormat, both: tuple[Accumulator, Accumulator]) -> Counterexample:
    """Corner codes of which two datapaths make different outputs."""
    corners = [_corners(fmt) for fmt in (a, b)]
    for length in (1, 2, 3):
        sequences = list(product(product(*corners), repeat=length))
        rows = _codes(a, [[pair[0] for pair in one] for one in sequences])
        columns = _codes(b, [[pair[1] for pair in one] for one in sequences])
        batch = rows.codes[:, None, :], columns.codes[:, :, None]
        results = [matmul(QuantizedArray(batch[0], a), QuantizedArray(batch[1], b), one).acc.ravel() for one in both]
        differ = np.flatnonzero(results[0] != results[1])
        if len(differ):
            first = int(differ[0])
            row, column = QuantizedArray(batch[0][first], a), QuantizedArray(batch[1][first], b)
            outputs = tuple(int(one[first]) for one in results)
            return Counterexample(what, row, column, both, outputs)
    raise ValueError(
        f"no three products of corner codes saturate a register of {both[0].bits} bits; give a narrower one"
    )


def _corners(number_format: NumberFormat) -> list[int]:
    """Codes of the extreme values of each range."""
    tables = [grid_range.mantissa for grid_range in number_format.ranges()]
    return sorted({int(position) for table in tables for position in (table.argmin(), table.argmax())})


def _codes(number_format: NumberFormat, codes: object) -> QuantizedArray:
    array = np.array(codes, np.int64)
    return QuantizedArray(array.reshape(1, -1) if array.ndim == 1 else array, number_format)
