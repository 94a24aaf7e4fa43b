"""Softmax in base 2 in one pass over the scores, with a running maximum that is a whole power of 2."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ptqsim.common.validation import checked_integer
from ptqsim.formats.base import NumberFormat
from ptqsim.kernels.units import running_softmax as kernels
from ptqsim.units.constants import Multiplier, checked_one
from ptqsim.units.interval import Interval, signed_interval
from ptqsim.units.protocol import MAX_LENGTH, Trace
from ptqsim.units.reference import running_softmax as reference
from ptqsim.units.softmax_units.softmax import checked_table, powers_of_two
from ptqsim.units.softmax_units.softmax_unit import EXACT, Division, SoftmaxUnit


@dataclass(frozen=True)
class RunningSoftmax(SoftmaxUnit):
    """Softmax with exponentials and sum from one pass over the scores (docs/units/softmax_running.md).

    Parameters
    ----------
    out_format : NumberFormat
        `Uniform`, `TwinSoftmax`, `TwinGELU` or `Log2`.
    length : int
        Greatest number of scores in a row, for which the widths are proven.
    score_bits : int
        Signed width of a score, 2 to 48.
    division : Division
        Way from exponential and sum to a code.
    multiplier : Multiplier
        (real value of one unit of a score) * log2(e) * (number of entries of the table); one for the tensor.
    table : sequence of int
        As for `Softmax`.
    part : int, optional
        Scores that come at once, 1 to 2**20; 0 stands for the whole row.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is out of its range, the table is too small for `out_format`, or a value needs more than 63 bits.
    """

    kind: ClassVar[str] = "running_softmax"
    source: ClassVar[str] = (
        "running maximum of whole powers of 2 as in Softermax, Stevens et al., DAC 2021, section III"
    )

    multiplier: Multiplier
    table: tuple[int, ...]
    part: int

    # Written out, because it takes more types than the fields have.
    def __init__(
        self,
        out_format: NumberFormat,
        length: int,
        score_bits: int,
        division: Division,
        multiplier: Multiplier,
        table: Sequence[int],
        part: int = 16,
    ) -> None:
        self._set_common(out_format, length, score_bits, division)
        object.__setattr__(self, "multiplier", checked_one(multiplier))
        object.__setattr__(self, "table", checked_table(table, self.out_format))
        object.__setattr__(self, "part", checked_integer("part", part, 0, MAX_LENGTH))
        self._check()

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
        out_format : NumberFormat
            As for the unit.
        length : int
            Greatest number of scores in a row.
        score_bits : int, optional
            As for the unit.
        entries : int, optional
            Entries F of the table, a power of two, 1 to 1024.
        table_bits : int, optional
            Unsigned bits of an entry, 2 to 24; the first entry is all ones.
        part : int, optional
            As for the unit.
        multiplier_bits : int, optional
            Significant bits of the multiplier, 1 to 31.
        division : Division, optional
            As for the unit.
        """
        table, multiplier = powers_of_two(score_scale, entries, table_bits, multiplier_bits)
        return cls(out_format, length, score_bits, division, multiplier, table, part)

    @property
    def exponential(self) -> Interval:
        """The integers that an exponential can be."""
        return Interval(0, self.table[0])

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
        fraction = len(self.table).bit_length() - 1
        mantissa = self.multiplier.mantissa[0]
        product = signed_interval(self.score_bits) * Interval(mantissa, mantissa)
        position = product.shifted(self.multiplier.shift[0])
        power = Interval(-(-position.lowest >> fraction), -(-position.highest >> fraction))
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
        fraction = len(self.table).bit_length() - 1
        return kernels.running, (mantissa, shift, fraction, self.most_halvings, self.part, table)
