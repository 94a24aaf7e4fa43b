"""I-GELU, the GELU of I-BERT: erf as a polynomial of degree 2."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.common.validation import checked_integer
from ptqsim.formats.base import NumberFormat
from ptqsim.formats.uniform import Uniform
from ptqsim.kernels.units import published_gelu as kernels
from ptqsim.units import target
from ptqsim.units.activation_units.shift_gelu import checked_pre_activation, pre_activation_widths
from ptqsim.units.constants import Multiplier
from ptqsim.units.interval import Interval, check_words
from ptqsim.units.protocol import Input, Trace, Unit, run_rows
from ptqsim.units.reference import published_gelu as reference
from ptqsim.units.rescale import Rescale
from ptqsim.units.softmax_units.softmax import checked_one

_A, _B = Fraction("-0.2888"), Fraction("-1.769")  # I-BERT, Eq. 8; the constant is 1
_ROOT_OF_TWO: Final = Fraction("1.41421356237309504880168872420969807857")


@dataclass(frozen=True)
class IGELU(Unit):
    """I-GELU of I-BERT: x (1 + erf(x / sqrt 2)) / 2, with erf(y) = sgn(y) (a (min(abs(y), -b) + b)**2 + 1).

    Parameters
    ----------
    out_format : NumberFormat
        `Uniform`, `TwinSoftmax`, `TwinGELU` or `Log2`.
    rescale : Rescale
        The way from an accumulator to the pre-activation x, whose format is `Uniform`.
    multiplier : Multiplier
        (step of x) * -a (step of x)**2 / 4 / (step of `out_format`).
    vertex : int
        floor(b / S), with S the step of x divided by sqrt 2, and b = -1.769; negative.
    constant, one : int
        floor(1 / (a S**2)), with a = -0.2888; negative. The first is the polynomial's, the second 1 on its grid.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is out of its range, or a value needs more than 63 bits.

    Notes
    -----
    The released code drops 14 bits of 1 + erf before the product; the algorithm of the paper, and this unit, drop none.
    """

    kind: ClassVar[str] = "i_gelu"
    source: ClassVar[str] = "I-BERT, Kim et al., ICML 2021, section 3.4, Algorithm 2"

    out_format: NumberFormat
    rescale: Rescale
    multiplier: Multiplier
    vertex: int
    constant: int
    one: int

    # Written out, because it checks what it takes.
    def __init__(
        self,
        out_format: NumberFormat,
        rescale: Rescale,
        multiplier: Multiplier,
        vertex: int,
        constant: int,
        one: int,
    ) -> None:
        object.__setattr__(self, "out_format", target.checked_target(out_format))
        object.__setattr__(self, "rescale", checked_pre_activation(rescale))
        object.__setattr__(self, "multiplier", checked_one(multiplier))
        object.__setattr__(self, "vertex", checked_integer("vertex", vertex, -(1 << 24), -1))
        object.__setattr__(self, "constant", checked_integer("constant", constant, -(1 << 48), -1))
        object.__setattr__(self, "one", checked_integer("one", one, -(1 << 48), -1))
        check_words("an IGELU", self.widths(), "take a pre-activation on a coarser grid, or a narrower multiplier")

    @classmethod
    def from_real(
        cls,
        in_scale: ArrayLike,
        index_format: Uniform,
        out_format: NumberFormat,
        bias: ArrayLike = 0.0,
        acc_bits: int = 32,
        multiplier_bits: int = 16,
    ) -> IGELU:
        """The unit nearest to real parameters.

        Parameters
        ----------
        in_scale : float or array of shape (C,)
            Real value of one unit of acc, for the tensor or for every channel.
        index_format : Uniform
            Format of the pre-activation.
        out_format : NumberFormat
            As for the unit.
        bias : float or array of shape (C,), optional
            Real bias; it becomes the nearest integer on the grid of acc.
        acc_bits, multiplier_bits : int, optional
            As for `Rescale.from_real`.
        """
        rescale = Rescale.from_real(in_scale, index_format, bias, acc_bits, multiplier_bits)
        step = Fraction(checked_pre_activation(rescale).out_format.scale)
        out_step = Fraction(target.unit_scale(target.checked_target(out_format)))
        erf_step = _A * step * step / 2
        multiplier = Multiplier.of(float(-step * erf_step / 2 / out_step), multiplier_bits)
        vertex = math.floor(_B * _ROOT_OF_TWO / step)
        constant = math.floor(1 / erf_step)
        return cls(out_format, rescale, multiplier, vertex, constant, constant)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The accumulator."""
        return self.rescale.inputs

    @property
    def channels(self) -> int | None:
        """Number of channels, if the rescaling has constants for each."""
        return self.rescale.channels

    def widths(self) -> dict[str, Interval]:
        """The integers that every named value can be."""
        found, value = pre_activation_widths(self.rescale)
        farthest = min(max(-value.lowest, value.highest), -self.vertex)
        polynomial = Interval((farthest + self.vertex) ** 2 + self.constant, self.vertex**2 + self.constant)
        largest = max(abs(polynomial.lowest), abs(polynomial.highest))
        erf = Interval(-largest, largest)
        activated = value * (erf + Interval(self.one, self.one))
        scaled = activated * Interval(-self.multiplier.mantissa[0], -self.multiplier.mantissa[0])
        after = target.widths_of_shift(scaled, self.multiplier.shift[0], self.out_format)
        return found | {
            "value": value,
            "clipped": Interval(0, farthest),
            "polynomial": polynomial,
            "erf": erf,
            "activated": activated,
            "scaled": scaled,
            "nudged_code": after["nudged"],
            "rounded_code": after["rounded"],
            "code": after["code"],
        }

    def _trace(self, *rows: Sequence[int]) -> Trace:
        return reference.i_gelu(self, rows[0])

    def _run(self, rows: tuple[NDArray[np.int64], ...], codes: NDArray[Any]) -> None:
        n = codes.shape[1]
        constants = self.vertex, self.constant, self.one, self.multiplier.mantissa[0]
        run_rows(
            kernels.i_gelu,
            rows[0],
            rows[0],
            *self.rescale.kernel_constants(n),
            self.rescale.out_format.aligned_table(),
            *constants,
            self._constant("shift", self.multiplier.shift, n),
            target.kernel_constants(self.out_format),
            codes,
        )
