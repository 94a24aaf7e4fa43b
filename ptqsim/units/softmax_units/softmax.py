"""Softmax in base 2, with a table of the fraction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ptqsim.common.validation import checked_integer
from ptqsim.formats.base import NumberFormat
from ptqsim.kernels.units import row_vectors
from ptqsim.kernels.units import softmax as kernels
from ptqsim.units import target, vectors
from ptqsim.units.interval import Interval, half_up
from ptqsim.units.protocol import Trace
from ptqsim.units.reference import softmax as reference
from ptqsim.units.softmax_units.softmax_unit import EXACT, Division, DivisionMethod
from ptqsim.units.softmax_units.table_softmax import TableSoftmax, powers_of_two

MAX_TABLE_POSITION_BITS = 12
"""Positions up to which the exponentials of all are one table: it stays in the nearest cache."""


@dataclass(frozen=True)
class Softmax(TableSoftmax):
    """Softmax in base 2 of the distances from the greatest score (docs/units/softmax.md).

    Parameters
    ----------
    out_format, length, score_bits, division : NumberFormat, int, int and Division
        As for `SoftmaxUnit`.
    multiplier, table : Multiplier and sequence of int
        As for `TableSoftmax`.
    position_bits : int, optional
        Unsigned width of log2 of an exponential in units of 1 / F; its greatest integer stands for an exponential of
        zero. At most 6 more than log2 of F.

    Raises
    ------
    TypeError, ValueError
        As for `TableSoftmax`.
    """

    kind: ClassVar[str] = "softmax"
    source: ClassVar[str] = "exp(x) = 2**(x log2 e); table of the fraction as in Softermax, Stevens et al., DAC 2021"

    position_bits: int = 8

    def _set_constants(self) -> None:
        super()._set_constants()
        least = self.fraction_bits
        self._set(position_bits=checked_integer("position_bits", self.position_bits, max(1, least), least + 6))

    @classmethod
    def from_real(
        cls,
        score_scale: float,
        out_format: NumberFormat,
        length: int,
        score_bits: int = 32,
        entries: int = 64,
        table_bits: int = 15,
        position_bits: int | None = None,
        multiplier_bits: int = 16,
        division: Division = EXACT,
    ) -> Softmax:
        """The unit nearest to real parameters.

        Parameters
        ----------
        score_scale : float
            Real value of one unit of a score; the scale of the attention is part of it.
        out_format, length : NumberFormat and int
            As for the unit.
        score_bits : int, optional
            As for the unit.
        entries, table_bits : int, optional
            As for `powers_of_two`.
        position_bits : int, optional
            As for the unit; by default 4 more than log2 of F, so that exponentials reach down to 2**-16.
        multiplier_bits : int, optional
            As for `Multiplier.of`.
        division : Division, optional
            As for the unit.
        """
        table, multiplier = powers_of_two(score_scale, entries, table_bits, multiplier_bits)
        bits = len(table).bit_length() + 3 if position_bits is None else position_bits
        return cls(out_format, length, score_bits, division, multiplier, table, bits)

    def own_widths(self) -> dict[str, Interval]:
        """Intervals of the named values between the distance and the sum."""
        product = self.distance * Interval(self.multiplier.mantissa[0], self.multiplier.mantissa[0])
        return {
            "product": product,
            "unbounded": product.shifted(self.multiplier.shift[0]),
            "position": Interval(0, (1 << self.position_bits) - 1),
            "exponential": self.exponential,
        }

    def exponentials(self, row: Sequence[int]) -> Trace:
        """The reference up to the exponentials."""
        return reference.base_two(self, row)

    def _vector(self, n: int) -> vectors.Vector | None:
        kind, gain = target.kind_of(self.out_format), self.gain
        if self.division.method != DivisionMethod.EXACT or self.position_bits > MAX_TABLE_POSITION_BITS:
            return None
        if kind not in (target.UNIFORM, target.TWIN_SOFTMAX):
            return None
        mantissa, shift = self.multiplier.mantissa[0], self.multiplier.shift[0]
        mantissa, shift = mantissa << max(0, -shift), max(0, shift)
        numerator, up = gain[0] << max(0, -gain[1]), max(0, gain[1])
        k, m = self.out_format.bits, self.out_format.shift
        divisor = self.total.highest << up
        largest = 2 * self.exponential.highest * numerator + (divisor << m)
        bits = largest.bit_length()
        # A quotient is at most that of the sum itself, and its product with 2**bits has to fit a word.
        quotient = (numerator >> up) + (1 << m) + 2
        if max(quotient << bits, divisor << k, self.distance.highest * mantissa + (1 << shift)) > vectors.LARGEST:
            return None
        last, fraction = (1 << self.position_bits) - 1, self.fraction_bits
        every = [half_up(self.table[t & ((1 << fraction) - 1)], t >> fraction) for t in range(last)]
        twin = kind == target.TWIN_SOFTMAX
        limits = np.zeros((1, 5), np.int64) if twin else vectors.limits_of(self.out_format, 0)  # type: ignore[arg-type]
        constants = (
            np.array([[mantissa, vectors.half_of(shift), shift, last]], np.int64),
            np.array([[*every, 0]], np.int32),
            limits,
            np.array([[numerator, up, bits, twin, k - 1, m, n]], np.int64),
        )
        return vectors.Vector(row_vectors.softmax, constants, coded=1)

    @property
    def _kernel(self) -> tuple[Callable[..., int], tuple[Any, ...]]:
        mantissa, shift = self.multiplier.mantissa[0], self.multiplier.shift[0]
        last, fraction = (1 << self.position_bits) - 1, self.fraction_bits
        table = self._constant("table", self.table, len(self.table))
        return kernels.base_two, (mantissa, shift, last, fraction, table)
