"""Parts that every formulation of softmax shares: rows of scores, and the division that ends in a code.

A formulation turns the scores of a row into exponentials, integers on a common grid. Their quotients by the sum are
exact rationals, and the code is that of the quotient.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptqsim.common.choice import Choice
from ptqsim.common.validation import checked_integer, checked_type
from ptqsim.formats.arrays.immutable import Constructed
from ptqsim.formats.base import NumberFormat
from ptqsim.units import target
from ptqsim.units.constants import Multiplier
from ptqsim.units.interval import Interval, check_words, signed_interval
from ptqsim.units.protocol import MAX_LENGTH, Input, Trace, Unit, checked_input_bits, run_rows
from ptqsim.units.reference import softmax as reference

_GAIN_BITS = 16


class DivisionMethod(Choice):
    """Way from an exponential e and the sum E to a code.

    ``exact``: the code of e / E, a quotient of integers that is rounded once.
    ``reciprocal``: the code of e Q / 2**R with Q = floor(2**R / E), one division per row.
    """

    EXACT = "exact"
    RECIPROCAL = "reciprocal"


@dataclass(frozen=True, slots=True)
class Division(Constructed):
    """Division of exponentials by their sum.

    Parameters
    ----------
    method : DivisionMethod or str, optional
        ``exact`` or ``reciprocal``.
    bits : int, optional
        R of the reciprocal, 8 to 48; it has no meaning for ``exact``.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is out of its range.
    """

    method: DivisionMethod = DivisionMethod.EXACT
    bits: int = 31

    # Written out, because it takes more types than the fields have.
    def __init__(self, method: DivisionMethod | str = DivisionMethod.EXACT, bits: int = 31) -> None:
        object.__setattr__(self, "method", DivisionMethod.of(method))
        object.__setattr__(self, "bits", checked_integer("bits of the reciprocal", bits, 8, 48))


EXACT = Division()


@dataclass(frozen=True)
class SoftmaxUnit(Unit):
    """Softmax over the last axis; the fields are those that every formulation has.

    Parameters
    ----------
    out_format : NumberFormat
        `Uniform`, `TwinSoftmax`, `TwinGELU` or `Log2`.
    length : int
        Greatest number of scores in a row, for which the widths are proven.
    score_bits : int
        Signed width of a score, 2 to 48.
    division : Division
        Way to the codes.
    """

    out_format: NumberFormat
    length: int
    score_bits: int
    division: Division

    def _set_common(self, out_format: NumberFormat, length: int, score_bits: int, division: Division) -> None:
        object.__setattr__(self, "out_format", target.checked_target(out_format))
        object.__setattr__(self, "length", checked_integer("length", length, 1, MAX_LENGTH))
        object.__setattr__(self, "score_bits", checked_input_bits("score_bits", score_bits))
        object.__setattr__(self, "division", checked_type("division", division, Division))

    def _check(self) -> None:
        """Refuse what is too wide, after the fields of the formulation are set."""
        highest, words = self.total.highest, self.widths()
        if self.division.method == DivisionMethod.RECIPROCAL and highest >> self.division.bits:
            raise ValueError(
                f"a reciprocal of {self.division.bits} bits is zero for sums of up to {highest}, which have "
                f"{highest.bit_length()} bits; give it {highest.bit_length()} bits or more, or divide exactly"
            )
        advice = "take shorter rows, narrower exponentials, a smaller shift of out_format, or a reciprocal"
        check_words(f"a {type(self).__name__}", words, advice)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The scores, before softmax."""
        return (Input("score", self.score_bits),)

    @property
    def longest(self) -> int:
        """Greatest length of a row."""
        return self.length

    @cached_property
    def gain(self) -> tuple[int, int]:
        """Mantissa and shift of 1 / (step of `out_format`); a power of two for all but `Uniform`."""
        return gain_of(self.out_format)

    @property
    @abstractmethod
    def exponential(self) -> Interval:
        """The integers that an exponential can be; its highest is that of the greatest score."""

    @property
    def total(self) -> Interval:
        """The integers that the sum can be: at least the exponential of the greatest score."""
        return Interval(self.exponential.highest, self.length * self.exponential.highest)

    @property
    def distance(self) -> Interval:
        """The integers that the distance of a score from the greatest can be."""
        return Interval(0, (1 << self.score_bits) - 1)

    @abstractmethod
    def own_widths(self) -> dict[str, Interval]:
        """Intervals of the named values between the distance and the sum."""

    @abstractmethod
    def exponentials(self, row: Sequence[int]) -> Trace:
        """The reference up to the exponentials, whose name is `exponential`."""

    @property
    @abstractmethod
    def _kernel(self) -> tuple[Callable[..., int], tuple[Any, ...]]:
        """The kernel and its constants."""

    def row_widths(self) -> dict[str, Interval]:
        """Intervals of the named values before the sum."""
        return {"peak": signed_interval(self.score_bits), "distance": self.distance} | self.own_widths()

    def widths(self) -> dict[str, Interval]:
        """The integers that every named value can be."""
        mantissa, shift = self.gain
        one = Interval(mantissa << max(0, -shift), mantissa << max(0, -shift))
        before = self.row_widths() | {"total": self.total}
        if self.division.method == DivisionMethod.EXACT:
            scaled = self.exponential * one
            divisor = Interval(self.total.lowest << max(0, shift), self.total.highest << max(0, shift))
            after = target.widths_of_quotient(scaled, divisor, self.out_format)
            return before | {"scaled": scaled, "divisor": divisor} | after
        power = 1 << self.division.bits
        # e Q <= E Q <= 2**R, as no exponential is above the sum.
        probability = Interval(0, power)
        scaled = probability * Interval(mantissa, mantissa)
        after = target.widths_of_shift(scaled, self.division.bits + shift, self.out_format)
        reciprocal = Interval(power // self.total.highest, power // self.total.lowest)
        return before | {"reciprocal": reciprocal, "probability": probability, "scaled": scaled} | after

    def _trace(self, *rows: Sequence[int]) -> Trace:
        return reference.trace(self, rows[0])

    def _run(self, rows: tuple[NDArray[np.int64], ...], codes: NDArray[Any]) -> None:
        kernel, constants = self._kernel
        exact = int(self.division.method == DivisionMethod.EXACT)
        division = self._constant("division", (exact, self.division.bits, *self.gain), 4)
        run_rows(kernel, rows[0], rows[0], *constants, division, target.kernel_constants(self.out_format), codes)


def gain_of(out_format: NumberFormat) -> tuple[int, int]:
    """Mantissa and shift of 1 / (step of a format); the mantissa is 1 for all but `Uniform`."""
    factor = 1 / Fraction(target.unit_scale(out_format))
    if factor.denominator == 1 and not factor.numerator & (factor.numerator - 1):
        return 1, 1 - factor.numerator.bit_length()
    found = Multiplier.of(float(factor), _GAIN_BITS)
    return found.mantissa[0], found.shift[0]


def checked_scores(score_scale: float, highest: float, what: str) -> Fraction:
    """The step of the scores, if it is not too coarse for a formulation."""
    step = Fraction(score_scale)
    if step > Fraction(highest):
        raise ValueError(
            f"{what} divides by a number of steps, and steps of {score_scale:.6g} are above {highest:.6g}, so that it "
            "is zero; take the scores from the accumulator, whose steps are finer"
        )
    return step
