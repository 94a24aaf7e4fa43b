"""Softmax in base 2 in one pass over the scores, with a running maximum that is a whole power of 2."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ptqsim.common.validation import checked_integer
from ptqsim.formats.base import NumberFormat
from ptqsim.kernels.units import running_softmax as kernels
from ptqsim.units.interval import Interval, signed_interval
from ptqsim.units.protocol import MAX_LENGTH, Trace
from ptqsim.units.reference import running_softmax as reference
from ptqsim.units.softmax_units.softmax_unit import EXACT, Division
from ptqsim.units.softmax_units.table_softmax import TableSoftmax, powers_of_two


@dataclass(frozen=True)
class RunningSoftmax(TableSoftmax):
    """Softmax with exponentials and sum from one pass over the scores (docs/units/softmax_running.md).

    Parameters
    ----------
    out_format, length, score_bits, division : NumberFormat, int, int and Division
        As for `SoftmaxUnit`.
    multiplier, table : Multiplier and sequence of int
        As for `TableSoftmax`.
    part : int, optional
        Scores that come at once, 1 to 2**20; 0 stands for the whole row.

    Raises
    ------
    TypeError, ValueError
        As for `TableSoftmax`.
    """

    kind: ClassVar[str] = "running_softmax"
    source: ClassVar[str] = (
        "running maximum of whole powers of 2 as in Softermax, Stevens et al., DAC 2021, section III"
    )

    part: int = 16

    def _set_constants(self) -> None:
        super()._set_constants()
        self._set(part=checked_integer("part", self.part, 0, MAX_LENGTH))

    @classmethod
    def from_real(
        cls,
        score_scale: float,
        out_format: NumberFormat,
        length: int,
        score_bits: int = 32,
        entries: int = 64,
        table_bits: int = 15,
        part: int = 16,
        multiplier_bits: int = 16,
        division: Division = EXACT,
    ) -> RunningSoftmax:
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
        part : int, optional
            As for the unit.
        multiplier_bits : int, optional
            As for `Multiplier.of`.
        division : Division, optional
            As for the unit.
        """
        table, multiplier = powers_of_two(score_scale, entries, table_bits, multiplier_bits)
        return cls(out_format, length, score_bits, division, multiplier, table, part)

    @property
    def total(self) -> Interval:
        """The integers that the sum can be: the score of the last peak is not halved."""
        return Interval(self.table[-1], self.length * self.table[0])

    @property
    def most_halvings(self) -> int:
        """Halvings after which nothing is left of any entry."""
        return self.table[0].bit_length() + 1

    def row_widths(self) -> dict[str, Interval]:
        """Intervals of the named values before the sum."""
        return self.own_widths()

    def own_widths(self) -> dict[str, Interval]:
        """Intervals of the named values between the scores and the sum."""
        mantissa = self.multiplier.mantissa[0]
        product = signed_interval(self.score_bits) * Interval(mantissa, mantissa)
        position = product.shifted(self.multiplier.shift[0])
        power = Interval(-(-position.lowest >> self.fraction_bits), -(-position.highest >> self.fraction_bits))
        return {
            "product": product,
            "position": position,
            "power": power,
            "rest": Interval(0, len(self.table) - 1),
            "peak": power,
            "halvings": Interval(0, self.most_halvings),
            "exponential": self.exponential,
        }

    def exponentials(self, row: Sequence[int]) -> Trace:
        """The reference up to the exponentials, and the sum, which is that of a running maximum."""
        return reference.exponentials(self, row)

    @property
    def _kernel(self) -> tuple[Callable[..., int], tuple[Any, ...]]:
        mantissa, shift = self.multiplier.mantissa[0], self.multiplier.shift[0]
        table = self._constant("table", self.table, len(self.table))
        return kernels.running, (mantissa, shift, self.fraction_bits, self.most_halvings, self.part, table)
