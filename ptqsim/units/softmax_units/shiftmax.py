"""Shiftmax, the softmax of I-ViT: exponentials by shifts and additions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ptqsim.common.validation import checked_integer, checked_scale
from ptqsim.formats.base import NumberFormat
from ptqsim.kernels.units import published_softmax as kernels
from ptqsim.units.constants import nearest
from ptqsim.units.interval import Interval
from ptqsim.units.protocol import Trace
from ptqsim.units.reference import published_softmax as reference
from ptqsim.units.softmax_units.scores import checked_scores
from ptqsim.units.softmax_units.softmax_unit import EXACT, Division, SoftmaxUnit

MAX_INVERSE = 1 << 30


@dataclass(frozen=True)
class Shiftmax(SoftmaxUnit):
    """Shiftmax of I-ViT: log2(e) is 1.0111 in binary, and 2**-f is 1 - f / 2.

    Parameters
    ----------
    out_format, length, score_bits, division : NumberFormat, int, int and Division
        As for `SoftmaxUnit`. The paper's division is a reciprocal whose quotient is truncated to 8 bits.
    inverse_step : int
        1 / (real value of one unit of a score), rounded; 1 to 2**30.
    shift : int
        N, the shift of the exponential of the greatest score, 1 to 30; 15 in the released code.

    Raises
    ------
    TypeError, ValueError
        As for `SoftmaxUnit`.
    """

    kind: ClassVar[str] = "shiftmax"
    source: ClassVar[str] = "I-ViT, Li and Gu, ICCV 2023, section 3.3, Algorithm 1"

    inverse_step: int
    shift: int = 15

    def _set_constants(self) -> None:
        self._set(
            inverse_step=checked_integer("inverse_step", self.inverse_step, 1, MAX_INVERSE),
            shift=checked_integer("shift", self.shift, 1, 30),
        )

    @classmethod
    def from_real(
        cls,
        score_scale: float,
        out_format: NumberFormat,
        length: int,
        score_bits: int = 32,
        shift: int = 15,
        division: Division = EXACT,
    ) -> Shiftmax:
        """The unit for scores of a real scale.

        Parameters
        ----------
        score_scale : float
            Real value of one unit of a score, at most 1.
        out_format, length : NumberFormat and int
            As for the unit.
        score_bits, shift, division : int, int and Division, optional
            As for the unit.
        """
        step = checked_scores(checked_scale(score_scale, "score_scale"), 1.0, "Shiftmax")
        return cls(out_format, length, score_bits, division, nearest(1 / step), shift)

    @property
    def exponential(self) -> Interval:
        """The integers that an exponential can be; none is zero, however far away its score is."""
        return Interval((self.inverse_step + 1) // 2, self.inverse_step << self.shift)

    def own_widths(self) -> dict[str, Interval]:
        """Intervals of the named values between the distance and the sum."""
        unit = self.inverse_step
        return {
            "magnified": Interval(-self.shift * unit, 0),
            "whole": Interval(0, self.shift),
            "rest": Interval(0, unit - 1),
            "mantissa": Interval((unit + 1) // 2, unit),
            "exponential": self.exponential,
        }

    def exponentials(self, row: Sequence[int]) -> Trace:
        """The reference up to the exponentials."""
        return reference.shiftmax(self, row)

    @property
    def _kernel(self) -> tuple[Callable[..., int], tuple[Any, ...]]:
        return kernels.shiftmax, (self.inverse_step, self.shift)
