"""TFLite's softmax of 8-bit scores: exponentials and a reciprocal in 32-bit fixed point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ptqsim.common.validation import checked_integer, checked_scale
from ptqsim.formats.base import NumberFormat
from ptqsim.kernels.units import tflite_softmax as kernels
from ptqsim.units import target
from ptqsim.units.constants import nearest
from ptqsim.units.interval import Interval, hull
from ptqsim.units.protocol import Trace, run_rows
from ptqsim.units.reference import tflite_softmax as reference
from ptqsim.units.reference.fixed_point import EXP_INTEGER_BITS, MOST, SUM_INTEGER_BITS, doubled_high
from ptqsim.units.softmax_units.scores import ScoresUnit

MAX_LEFT_SHIFT = 30
MAX_TERMS = (1 << SUM_INTEGER_BITS) - 1


@dataclass(frozen=True)
class TFLiteSoftmax(ScoresUnit):
    """Softmax of TFLite's reference kernel for int8, to the codes of any format.

    Parameters
    ----------
    out_format : NumberFormat
        `Uniform`, `TwinSoftmax` or `TwinGELU`. A format whose code c stands for c / 256 gives TFLite's output + 128.
    length : int
        Greatest number of scores in a row, 1 to 4095: the sum has 12 integer bits.
    multiplier : int
        Of 31 bits, with `left_shift` the real value of one unit of a score times 2**26.
    left_shift : int
        0 to 30.
    score_bits : int, optional
        Signed width of a score, 2 to 8.

    Raises
    ------
    TypeError, ValueError
        As for `ScoresUnit`.
    """

    kind: ClassVar[str] = "tflite_softmax"
    source: ClassVar[str] = "TFLite, kernels/internal/reference/softmax.h; gemmlowp, fixedpoint/fixedpoint.h"

    most_terms: ClassVar[int] = MAX_TERMS
    most_score_bits: ClassVar[int] = 8

    multiplier: int
    left_shift: int
    score_bits: int = 8

    def _set_constants(self) -> None:
        self._set(
            multiplier=checked_integer("multiplier", self.multiplier, 1 << 30, MOST),
            left_shift=checked_integer("left_shift", self.left_shift, 0, MAX_LEFT_SHIFT),
        )

    @classmethod
    def from_real(cls, score_scale: float, out_format: NumberFormat, length: int, score_bits: int = 8) -> TFLiteSoftmax:
        """The unit with the constants that TFLite takes for a real scale of scores.

        Parameters
        ----------
        score_scale : float
            Real value of one unit of a score (beta times the scale of the input), from 2**-26 on, below 16.
        out_format, length : NumberFormat and int
            As for the unit.
        score_bits : int, optional
            As for the unit.
        """
        factor = Fraction(checked_scale(score_scale, "score_scale")) * (1 << (31 - EXP_INTEGER_BITS))
        if not 1 <= factor < 1 << MAX_LEFT_SHIFT:
            raise ValueError(
                f"TFLite's multiplier takes scores of a scale from 2**-26 to below 16, got {score_scale!r}; take "
                "scores on another grid"
            )
        left_shift = (factor.numerator // factor.denominator).bit_length()
        multiplier = nearest(factor * (1 << 31) / (1 << left_shift))
        if multiplier > MOST:
            multiplier, left_shift = multiplier // 2, left_shift + 1
        return cls(out_format, length, multiplier, left_shift, score_bits)

    @property
    def least_difference(self) -> int:
        """Least difference to the greatest score whose exponential is not taken as zero (TFLite's diff_min)."""
        return -math.floor(Fraction(((1 << EXP_INTEGER_BITS) - 1) << (31 - EXP_INTEGER_BITS), 1 << self.left_shift))

    def widths(self) -> dict[str, Interval]:
        """The integers that every named value can be."""
        mantissa, shift = self.gain
        one = 1 << (31 - SUM_INTEGER_BITS)
        total = Interval(one, self.length * one)
        excess = Interval(0, total.highest.bit_length() - (32 - SUM_INTEGER_BITS))
        lowest = max(self.least_difference, 1 - (1 << self.score_bits))
        scaled = Interval(0, MOST * mantissa)
        after = [
            target.widths_of_shift(scaled, 31 + power + shift, self.out_format)
            for power in range(excess.lowest, excess.highest + 1)
        ]
        return {
            "peak": Interval(-(1 << (self.score_bits - 1)), (1 << (self.score_bits - 1)) - 1),
            "difference": Interval(1 - (1 << self.score_bits), 0),
            "argument": Interval(doubled_high(lowest << self.left_shift, self.multiplier), 0),
            "exponential": Interval(0, MOST),
            "total": total,
            "excess": excess,
            "reciprocal": Interval(0, MOST),
            "probability": Interval(0, MOST),
            "scaled": scaled,
        } | {name: hull(one[name] for one in after) for name in after[0]}

    def _trace(self, *rows: Sequence[int]) -> Trace:
        return reference.trace(self, rows[0])

    def _run(self, rows: tuple[NDArray[np.int64], ...], codes: NDArray[Any]) -> None:
        mantissa, shift = self.gain
        constants = self.multiplier, self.left_shift, self.least_difference, mantissa, shift
        run_rows(kernels.softmax, rows[0], rows[0], *constants, target.kernel_constants(self.out_format), codes)
