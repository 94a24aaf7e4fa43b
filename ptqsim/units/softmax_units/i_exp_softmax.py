"""The softmax of I-BERT: i-exp, a polynomial of degree 2 and a shift."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, Final

from ptqsim.common.validation import checked_integer, checked_scale
from ptqsim.formats.base import NumberFormat
from ptqsim.kernels.units import published_softmax as kernels
from ptqsim.units.interval import Interval
from ptqsim.units.protocol import Trace
from ptqsim.units.reference import published_softmax as reference
from ptqsim.units.softmax_units.scores import checked_scores
from ptqsim.units.softmax_units.softmax_unit import EXACT, Division, SoftmaxUnit

_LN2: Final = Fraction("0.69314718055994530941723212145817656808")
_A, _B, _C = Fraction("0.3585"), Fraction("1.353"), Fraction("0.344")  # I-BERT, Eq. 13
_MOST = 1 << 24


@dataclass(frozen=True)
class IExpSoftmax(SoftmaxUnit):
    """Softmax with i-exp of I-BERT: exp(x) = (0.3585 (p + 1.353)**2 + 0.344) >> z, with x = p - z ln 2.

    Parameters
    ----------
    out_format, length, score_bits, division : NumberFormat, int, int and Division
        As for `SoftmaxUnit`.
    ln2, vertex : int
        floor(ln 2 / S) and floor(1.353 / S), with S the real value of one unit of a score; up to 2**24.
    constant : int
        floor(0.344 / (0.3585 S**2)), up to 2**48.
    most_halvings : int
        Greatest z, 1 to 62; a distance of more than that many ln 2 counts as so many.

    Raises
    ------
    TypeError, ValueError
        As for `SoftmaxUnit`.
    """

    kind: ClassVar[str] = "i_exp_softmax"
    source: ClassVar[str] = "I-BERT, Kim et al., ICML 2021, section 3.5, Algorithm 3"

    ln2: int
    vertex: int
    constant: int
    most_halvings: int = 30

    def _set_constants(self) -> None:
        ln2 = checked_integer("ln2", self.ln2, 1, _MOST)
        self._set(
            ln2=ln2,
            vertex=checked_integer("vertex", self.vertex, ln2, _MOST, "it is 1.353 / 0.693 times ln2"),
            constant=checked_integer("constant", self.constant, 0, 1 << 48),
            most_halvings=checked_integer("most_halvings", self.most_halvings, 1, 62),
        )

    @classmethod
    def from_real(
        cls,
        score_scale: float,
        out_format: NumberFormat,
        length: int,
        score_bits: int = 32,
        division: Division = EXACT,
    ) -> IExpSoftmax:
        """The unit for scores of a real scale.

        Parameters
        ----------
        score_scale : float
            Real value of one unit of a score, at most ln 2.
        out_format, length : NumberFormat and int
            As for the unit.
        score_bits, division : int and Division, optional
            As for the unit.
        """
        step = checked_scores(checked_scale(score_scale, "score_scale"), float(_LN2), "i-exp")
        ln2, vertex, constant = (math.floor(value) for value in (_LN2 / step, _B / step, _C / (_A * step * step)))
        return cls(out_format, length, score_bits, division, ln2, vertex, constant)

    @property
    def exponential(self) -> Interval:
        """The integers that an exponential can be."""
        return Interval(0, self.vertex**2 + self.constant)

    def own_widths(self) -> dict[str, Interval]:
        """Intervals of the named values between the distance and the sum."""
        lowest = (self.vertex - self.ln2 + 1) ** 2 + self.constant
        return {
            "bounded": Interval(0, self.most_halvings * self.ln2),
            "whole": Interval(0, self.most_halvings),
            "rest": Interval(1 - self.ln2, 0),
            "polynomial": Interval(lowest, self.exponential.highest),
            "exponential": self.exponential,
        }

    def exponentials(self, row: Sequence[int]) -> Trace:
        """The reference up to the exponentials."""
        return reference.i_exp(self, row)

    @property
    def _kernel(self) -> tuple[Callable[..., int], tuple[Any, ...]]:
        return kernels.i_exp, (self.ln2, self.vertex, self.constant, self.most_halvings)
