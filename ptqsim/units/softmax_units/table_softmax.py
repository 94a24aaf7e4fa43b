"""Parts that softmaxes in base 2 share: a multiplier to powers of 2, and a table of their fractions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from ptqsim.common.validation import checked_integer, checked_scale
from ptqsim.formats.base import NumberFormat
from ptqsim.formats.log2 import Log2
from ptqsim.units import exact_functions
from ptqsim.units.constants import Multiplier, checked_integers, checked_one
from ptqsim.units.interval import Interval
from ptqsim.units.softmax_units.softmax_unit import SoftmaxUnit

MAX_TABLE_BITS, MAX_ENTRIES = 24, 1 << 10


@dataclass(frozen=True)
class TableSoftmax(SoftmaxUnit):
    """Softmax whose exponentials are powers of 2: a shift by the integer part and a table of the fraction.

    Parameters
    ----------
    out_format, length, score_bits, division : NumberFormat, int, int and Division
        As for `SoftmaxUnit`.
    multiplier : Multiplier
        (real value of one unit of a score) * log2(e) * (number of entries of the table); one for the tensor.
    table : sequence of int
        Entry i of F is 2**(-i / F) on the grid of the exponentials; F is a power of two, 1 to 1024, and entries have
        up to 24 bits, do not rise, and fall to no less than half of the first.

    Raises
    ------
    TypeError, ValueError
        As for `SoftmaxUnit`, and if the table is too small for `out_format`.
    """

    multiplier: Multiplier
    table: Sequence[int]  # a tuple, whatever sequence was given

    def _set_constants(self) -> None:
        self._set(multiplier=checked_one(self.multiplier), table=checked_table(self.table, self.out_format))

    @property
    def exponential(self) -> Interval:
        """The integers that an exponential can be."""
        return Interval(0, self.table[0])

    @property
    def fraction_bits(self) -> int:
        """log2 of the number F of entries: fraction bits of a power."""
        return len(self.table).bit_length() - 1


def powers_of_two(
    score_scale: float, entries: int, table_bits: int, multiplier_bits: int
) -> tuple[list[int], Multiplier]:
    """The table of ``2**(-i / F)``, and the multiplier that makes positions of scores: S log2(e) F.

    Parameters
    ----------
    score_scale : float
        Real value S of one unit of a score.
    entries : int
        Entries F of the table, a power of two, 1 to 1024.
    table_bits : int
        Unsigned bits of an entry, 2 to 24; the first entry is all ones.
    multiplier_bits : int
        As for `Multiplier.of`.
    """
    entries = checked_integer("entries", entries, 1, MAX_ENTRIES)
    amplitude = (1 << checked_integer("table_bits", table_bits, 2, MAX_TABLE_BITS)) - 1
    factor = exact_functions.log2_e(Fraction(checked_scale(score_scale, "score_scale"))) * entries
    table = [exact_functions.power_of_two(i, entries, amplitude) for i in range(entries)]
    return table, Multiplier.of(float(factor), multiplier_bits)


def checked_table(table: Sequence[int], out_format: NumberFormat) -> tuple[int, ...]:
    """A table of powers of 2, if softmax by it is monotone and it is not too small for the output format."""
    found = checked_integers("table", table, 1, (1 << MAX_TABLE_BITS) - 1)
    count = len(found)
    if count & (count - 1) or count > MAX_ENTRIES:
        raise ValueError(f"a table has a power of two of entries, 1 to {MAX_ENTRIES}, got {count}")
    falls = all(after <= before for before, after in pairwise(found))
    if not falls or 2 * found[-1] < found[0]:
        raise ValueError(
            "a table must not rise, nor fall below half of its first entry, or softmax would not be monotone; give "
            "2**(-i / F) for i = 0 .. F - 1"
        )
    top = (1 << (out_format.bits - 1)) - 1
    if not isinstance(out_format, Log2) and found[0] < top:
        raise ValueError(
            f"a table of entries up to {found[0]} is too small for {out_format.short()}, whose codes "
            f"have {top} steps; give entries of {top.bit_length()} bits or more"
        )
    return found
