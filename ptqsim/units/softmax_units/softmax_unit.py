"""Parts that most formulations of softmax share: the sum of exponentials, and the division that ends in a code.

A formulation turns the scores of a row into exponentials, integers on a common grid. Their quotients by the sum are
exact rationals, and the code is that of the quotient.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ptqsim.common.choice import Choice
from ptqsim.common.validation import checked_integer, checked_type
from ptqsim.formats.arrays.immutable import Constructed
from ptqsim.units import target
from ptqsim.units.interval import Interval, signed_interval
from ptqsim.units.protocol import Trace, run_rows
from ptqsim.units.reference import softmax as reference
from ptqsim.units.softmax_units.scores import ScoresUnit


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
class SoftmaxUnit(ScoresUnit):
    """Softmax whose formulation gives the exponentials; their sum and the division are the same for all.

    Parameters
    ----------
    out_format, length : NumberFormat and int
        As for `ScoresUnit`.
    score_bits : int
        Signed width of a score, 2 to 48.
    division : Division
        Way from exponential and sum to a code.

    Raises
    ------
    TypeError, ValueError
        As for `ScoresUnit`, and if a reciprocal has too few bits for the sum.
    """

    advice: ClassVar[str] = "take shorter rows, narrower exponentials, a smaller shift of out_format, or a reciprocal"

    score_bits: int
    division: Division

    def __post_init__(self) -> None:
        """Check what was given, and the widths that follow from it."""
        checked_type("division", self.division, Division)
        super().__post_init__()

    def _check(self, widths: dict[str, Interval]) -> None:
        """Refuse what is too wide."""
        highest = self.total.highest
        if self.division.method == DivisionMethod.RECIPROCAL and highest >> self.division.bits:
            raise ValueError(
                f"a reciprocal of {self.division.bits} bits is zero for sums of up to {highest}, which have "
                f"{highest.bit_length()} bits; give it {highest.bit_length()} bits or more, or divide exactly"
            )
        super()._check(widths)

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
