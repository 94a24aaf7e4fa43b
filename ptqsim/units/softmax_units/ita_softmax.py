"""The softmax of ITA: integer powers of two, and a sum over parts of a row that never looks back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

from ptqsim.common.validation import checked_integer, checked_scale
from ptqsim.formats.base import NumberFormat
from ptqsim.kernels.units import published_softmax as kernels
from ptqsim.units import exact_functions
from ptqsim.units.constants import Multiplier, checked_one
from ptqsim.units.interval import Interval
from ptqsim.units.protocol import MAX_LENGTH, Trace
from ptqsim.units.reference import published_softmax as reference
from ptqsim.units.softmax_units.softmax_unit import EXACT, Division, SoftmaxUnit


@dataclass(frozen=True)
class ITASoftmax(SoftmaxUnit):
    """Softmax of ITA: exponentials 2**-q with q the rounded distance, summed with a running maximum.

    Parameters
    ----------
    out_format, length, score_bits, division : NumberFormat, int, int and Division
        As for `SoftmaxUnit`. ITA's division is floor(255 * 256 / sum) >> q.
    multiplier : Multiplier
        (real value of one unit of a score) * log2(e); 1/32 in ITA, whose scores are on that grid.
    amplitude_bits : int
        log2 of the exponential of the greatest score, 4 to 24; 8 in ITA.
    part : int
        Scores that are summed at once; 16 in ITA. 0 finds the maximum of the whole row first.

    Raises
    ------
    TypeError, ValueError
        As for `SoftmaxUnit`.
    """

    kind: ClassVar[str] = "ita_softmax"
    source: ClassVar[str] = "ITA, Islamoglu et al., ISLPED 2023, integer softmax in streaming mode (arXiv:2307.03493)"

    multiplier: Multiplier
    amplitude_bits: int = 8
    part: int = 16

    def _set_constants(self) -> None:
        self._set(
            multiplier=checked_one(self.multiplier),
            amplitude_bits=checked_integer("amplitude_bits", self.amplitude_bits, 4, 24),
            part=checked_integer("part", self.part, 0, MAX_LENGTH),
        )

    @classmethod
    def from_real(
        cls,
        score_scale: float,
        out_format: NumberFormat,
        length: int,
        score_bits: int = 8,
        amplitude_bits: int = 8,
        part: int = 16,
        multiplier_bits: int = 16,
        division: Division = EXACT,
    ) -> ITASoftmax:
        """The unit nearest to a real scale of scores.

        Parameters
        ----------
        score_scale : float
            Real value of one unit of a score; ITA takes 1 / (32 log2(e)).
        out_format, length : NumberFormat and int
            As for the unit.
        score_bits, amplitude_bits, part : int, optional
            As for the unit.
        multiplier_bits : int, optional
            As for `Multiplier.of`.
        division : Division, optional
            As for the unit.
        """
        factor = exact_functions.log2_e(Fraction(checked_scale(score_scale, "score_scale")))
        multiplier = Multiplier.of(float(factor), multiplier_bits)
        return cls(out_format, length, score_bits, division, multiplier, amplitude_bits, part)

    @property
    def exponential(self) -> Interval:
        """The integers that an exponential can be."""
        return Interval(0, 1 << self.amplitude_bits)

    def own_widths(self) -> dict[str, Interval]:
        """Intervals of the named values between the distance and the sum."""
        product = self.distance * Interval(self.multiplier.mantissa[0], self.multiplier.mantissa[0])
        return {
            "product": product,
            "unbounded": product.shifted(self.multiplier.shift[0]),
            "power": Interval(0, self.amplitude_bits + 1),
            "exponential": self.exponential,
        }

    def exponentials(self, row: Sequence[int]) -> Trace:
        """The reference up to the exponentials, and the sum, which is that of a running maximum."""
        return reference.ita(self, row)

    @property
    def _kernel(self) -> tuple[Callable[..., int], tuple[Any, ...]]:
        mantissa, shift = self.multiplier.mantissa[0], self.multiplier.shift[0]
        return kernels.ita, (mantissa, shift, self.amplitude_bits, self.part)
