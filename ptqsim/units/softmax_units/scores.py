"""Parts that every softmax shares: rows of scores that end in codes of a format."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from ptqsim.common.validation import checked_integer
from ptqsim.formats.base import NumberFormat
from ptqsim.units import target
from ptqsim.units.constants import Multiplier
from ptqsim.units.interval import Interval, check_words
from ptqsim.units.protocol import MAX_INPUT_BITS, MAX_LENGTH, Input, Unit

_GAIN_BITS = 16


@dataclass(frozen=True)
class ScoresUnit(Unit):
    """Softmax over the last axis; its fields are those that every formulation has.

    Parameters
    ----------
    out_format : NumberFormat
        `Uniform`, `TwinSoftmax`, `TwinGELU` or `Log2`.
    length : int
        Greatest number of scores in a row, for which the widths are proven.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is out of its range, or a value needs more than 63 bits.

    Notes
    -----
    Every formulation has a field `score_bits`, the signed width of a score, and refuses what is refused here.
    """

    most_terms: ClassVar[int] = MAX_LENGTH
    """Greatest `length` of the formulation."""

    most_score_bits: ClassVar[int] = MAX_INPUT_BITS
    """Greatest `score_bits` of the formulation."""

    advice: ClassVar[str] = "take a smaller shift of out_format"
    """Remedy for values that are too wide, in the message that refuses them."""

    out_format: NumberFormat
    length: int

    if TYPE_CHECKING:

        @property
        def score_bits(self) -> int:
            """Signed width of a score."""

    def __post_init__(self) -> None:
        """Check what was given, and the widths that follow from it."""
        self._set(
            out_format=target.checked_target(self.out_format),
            length=checked_integer("length", self.length, 1, self.most_terms),
            score_bits=checked_integer("score_bits", self.score_bits, 2, self.most_score_bits),
        )
        self._set_constants()
        self._check(self.widths())

    @abstractmethod
    def _set_constants(self) -> None:
        """Check the fields of the formulation, which come after the common ones."""

    def _check(self, widths: dict[str, Interval]) -> None:
        """Refuse what is too wide."""
        check_words(type(self).__name__, widths, self.advice)

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
        """Mantissa and shift of 1 / (step of `out_format`); the mantissa is 1 for all but `Uniform`."""
        factor = 1 / Fraction(target.unit_scale(self.out_format))
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
