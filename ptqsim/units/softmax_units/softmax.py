"""Softmax in base 2, with a table of the fraction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from ptqsim.common.validation import checked_integer, checked_scale
from ptqsim.formats.base import NumberFormat
from ptqsim.formats.log2 import Log2
from ptqsim.kernels.units import row_vectors
from ptqsim.kernels.units import softmax as kernels
from ptqsim.units import exact_functions, target, vectors
from ptqsim.units.constants import Multiplier, checked_integers, checked_one
from ptqsim.units.interval import Interval, half_up
from ptqsim.units.protocol import Trace
from ptqsim.units.reference import softmax as reference
from ptqsim.units.softmax_units.softmax_unit import EXACT, Division, DivisionMethod, SoftmaxUnit

MAX_TABLE_BITS, MAX_ENTRIES = 24, 1 << 10

MAX_TABLE_POSITION_BITS = 12
"""Positions up to which the exponentials of all are one table: it stays in the nearest cache."""


@dataclass(frozen=True)
class Softmax(SoftmaxUnit):
    """Softmax whose exponentials are powers of 2: a shift by the integer part and a table of the fraction.

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
        Entry i of F is 2**(-i / F) on the grid of the exponentials; F is a power of two, 1 to 1024, and entries have
        up to 24 bits, do not rise, and fall to no less than half of the first.
    position_bits : int, optional
        Unsigned width of log2 of an exponential in units of 1 / F; its greatest integer stands for an exponential of
        zero. At most 6 more than log2 of F.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is out of its range, the table is too small for `out_format`, or a value needs more than 63 bits.
    """

    kind: ClassVar[str] = "softmax"
    source: ClassVar[str] = "exp(x) = 2**(x log2 e); table of the fraction as in Softermax, Stevens et al., DAC 2021"

    multiplier: Multiplier
    table: tuple[int, ...]
    position_bits: int

    # Written out, because it takes more types than the fields have.
    def __init__(
        self,
        out_format: NumberFormat,
        length: int,
        score_bits: int,
        division: Division,
        multiplier: Multiplier,
        table: Sequence[int],
        position_bits: int = 8,
    ) -> None:
        self._set_common(out_format, length, score_bits, division)
        object.__setattr__(self, "multiplier", checked_one(multiplier))
        object.__setattr__(self, "table", checked_table(table, self.out_format))
        fraction_bits = len(self.table).bit_length() - 1
        bits = checked_integer("position_bits", position_bits, max(1, fraction_bits), fraction_bits + 6)
        object.__setattr__(self, "position_bits", bits)
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
        position_bits: int | None = None,
        multiplier_bits: int = 16,
        division: Division = EXACT,
    ) -> Softmax:
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
        position_bits : int, optional
            As for the unit; by default 4 more than log2 of F, so that exponentials reach down to 2**-16.
        multiplier_bits : int, optional
            Significant bits of the multiplier, 1 to 31.
        division : Division, optional
            As for the unit.
        """
        table, multiplier = powers_of_two(score_scale, entries, table_bits, multiplier_bits)
        bits = len(table).bit_length() + 3 if position_bits is None else position_bits
        return cls(out_format, length, score_bits, division, multiplier, table, bits)

    @property
    def exponential(self) -> Interval:
        """The integers that an exponential can be."""
        return Interval(0, self.table[0])

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
        last, fraction = (1 << self.position_bits) - 1, len(self.table).bit_length() - 1
        every = [half_up(self.table[t & ((1 << fraction) - 1)], t >> fraction) for t in range(last)]
        twin = kind == target.TWIN_SOFTMAX
        limits = np.zeros((1, 5), np.int64) if twin else vectors.limits_of(self.out_format, 0)  # type: ignore[arg-type]
        constants = (
            np.array([[mantissa, vectors.half_of(shift), shift, last]], np.int64),
            np.array([[*every, 0]], np.int32),
            limits,
            np.array([[numerator, up, bits, twin, k - 1, m, n]], np.int64),
        )
        return vectors.Vector(row_vectors.softmax, constants)

    @property
    def _kernel(self) -> tuple[Callable[..., int], tuple[Any, ...]]:
        mantissa, shift = self.multiplier.mantissa[0], self.multiplier.shift[0]
        last, fraction = (1 << self.position_bits) - 1, len(self.table).bit_length() - 1
        table = self._constant("table", self.table, len(self.table))
        return kernels.base_two, (mantissa, shift, last, fraction, table)


def powers_of_two(
    score_scale: float, entries: int, table_bits: int, multiplier_bits: int
) -> tuple[list[int], Multiplier]:
    """The table of ``2**(-i / F)``, and the multiplier that makes positions of scores: S log2(e) F."""
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
