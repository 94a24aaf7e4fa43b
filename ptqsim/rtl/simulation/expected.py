"""The outputs expected of the hardware, by the simulator."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ptqsim.datapath import reference
from ptqsim.datapath.spec import Accumulator, OverflowMode
from ptqsim.errors import AccumulatorOverflowError
from ptqsim.formats.array import QuantizedArray
from ptqsim.gemm import matmul
from ptqsim.rtl.simulation.matmul import HardwareResult


@dataclass(frozen=True, slots=True)
class Comparison:
    """Hardware beside simulator.

    Parameters
    ----------
    outputs : int
        Number of outputs that were compared.
    trapped : int
        Number of them that trap. Their values have no meaning; their flags are compared.
    differ : int64 array
        Indices of those that are not equal, [n, 2].
    """

    outputs: int
    trapped: int
    differ: NDArray[np.int64]

    @property
    def equal(self) -> bool:
        """True if every output is equal to the bit."""
        return len(self.differ) == 0


def expected(a: QuantizedArray, b: QuantizedArray, accumulator: Accumulator) -> HardwareResult:
    """Accumulators [M, N] by `ptqsim.matmul`, and under ``trap`` where the reference meets an overflow."""
    if accumulator.overflow != OverflowMode.TRAP:
        return HardwareResult(matmul(a, b, accumulator, statistics=False).acc, None)
    # Up to its first overflow a register that traps is one that wraps: so are the outputs that meet none.
    wrapping = matmul(a, b, replace(accumulator, overflow=OverflowMode.WRAP))
    trapped = np.zeros(wrapping.acc.shape, np.bool_)
    if wrapping.overflow is not None and wrapping.overflow.outputs:
        rows, columns = _operands(a, accumulator), _operands(b.swapaxes(0, 1), accumulator)
        for index in np.ndindex(trapped.shape):
            try:
                reference.dot(rows[index[0]], columns[index[1]], accumulator)
            except AccumulatorOverflowError:
                trapped[index] = True
    return HardwareResult(wrapping.acc, trapped)


def compare(found: HardwareResult, wanted: HardwareResult) -> Comparison:
    """Every accumulator, and every flag; a value under a raised flag means nothing."""
    differ = found.acc != wanted.acc
    count = 0
    if wanted.trapped is not None:
        assert found.trapped is not None
        differ = (found.trapped != wanted.trapped) | (differ & ~wanted.trapped)
        count = int(wanted.trapped.sum())
    return Comparison(differ.size, count, np.argwhere(differ))


def _operands(array: QuantizedArray, accumulator: Accumulator) -> list[list[object]]:
    lines: list[list[object]] = reference.operands(array)
    if reference.needs_operands(accumulator):
        return lines
    return [[operand.aligned for operand in line] for line in lines]  # type: ignore[attr-defined]
