"""Parts that GELUs share which multiply the pre-activation by a factor that is computed from it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.common.validation import checked_type
from ptqsim.formats.base import NumberFormat
from ptqsim.formats.uniform import Uniform
from ptqsim.units import target
from ptqsim.units.activation_units.pre_activation import PreActivation
from ptqsim.units.constants import Multiplier, checked_one
from ptqsim.units.interval import Interval, check_words
from ptqsim.units.protocol import run_rows
from ptqsim.units.rescale import Rescale


@dataclass(frozen=True)
class ProductGELU(PreActivation):
    """GELU of a pre-activation on one grid: x times a factor, rescaled to a code.

    Parameters
    ----------
    out_format : NumberFormat
        `Uniform`, `TwinSoftmax`, `TwinGELU` or `Log2`.
    rescale : Rescale
        The way from an accumulator to the pre-activation x, whose format is `Uniform`.
    multiplier : Multiplier
        The way from x times the factor to `out_format`.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is out of its range, or a value needs more than 63 bits.
    """

    sign: ClassVar[int] = 1
    """Sign of the factor's grid: -1 if its unit is negative."""

    multiplier: Multiplier

    advice: ClassVar[str]
    """Remedy for values that are too wide, in the message that refuses them."""

    def __post_init__(self) -> None:
        """Check what was given, and the widths that follow from it."""
        given = checked_type("rescale", self.rescale, Rescale)
        checked_type("the format of the pre-activation", given.out_format, Uniform, "a polynomial is on one grid")
        self._set(out_format=target.checked_target(self.out_format), multiplier=checked_one(self.multiplier))
        self._set_constants()
        check_words(type(self).__name__, self.widths(), self.advice)

    @abstractmethod
    def _set_constants(self) -> None:
        """Check the fields of the formulation, which come after the common ones."""

    @abstractmethod
    def own_widths(self, value: Interval) -> tuple[dict[str, Interval], Interval]:
        """Intervals of the named values between pre-activation and product, and that of the factor."""

    @property
    @abstractmethod
    def _kernel(self) -> tuple[Callable[..., int], tuple[int, ...]]:
        """The kernel and its constants before the multiplier."""

    def widths(self) -> dict[str, Interval]:
        """The integers that every named value can be."""
        found = self.rescale.widths()
        index, grid = found.pop("code"), self.rescale.out_format
        value = Interval(grid.aligned_min, grid.aligned_max)
        own, factor = self.own_widths(value)
        activated = value * factor
        mantissa = self.sign * self.multiplier.mantissa[0]
        scaled = activated * Interval(mantissa, mantissa)
        after = target.widths_of_shift(scaled, self.multiplier.shift[0], self.out_format)
        return (
            found
            | {"index": index, "value": value}
            | own
            | {"activated": activated, "scaled": scaled}
            | {"nudged_code": after["nudged"], "rounded_code": after["rounded"], "code": after["code"]}
        )

    def _run(self, rows: tuple[NDArray[np.int64], ...], codes: NDArray[Any]) -> None:
        kernel, constants = self._kernel
        n = codes.shape[1]
        run_rows(
            kernel,
            rows[0],
            rows[0],
            *self.rescale.kernel_constants(n),
            self.rescale.out_format.aligned_table(),
            *constants,
            self.multiplier.mantissa[0],
            self._constant("shift", self.multiplier.shift, n),
            target.kernel_constants(self.out_format),
            codes,
        )


def pre_activation(
    in_scale: ArrayLike,
    index_format: Uniform,
    out_format: NumberFormat,
    bias: ArrayLike,
    acc_bits: int,
    multiplier_bits: int,
) -> tuple[Rescale, Fraction, Fraction]:
    """The rescaling to a pre-activation on one grid, its step, and that of the output.

    Parameters
    ----------
    in_scale : float or array of shape (C,)
        Real value of one unit of acc, for the tensor or for every channel.
    index_format : Uniform
        Format of the pre-activation.
    out_format : NumberFormat
        As for the unit.
    bias : float or array of shape (C,)
        Real bias; it becomes the nearest integer on the grid of acc.
    acc_bits, multiplier_bits : int
        As for `Rescale.from_real`.
    """
    checked_type("the format of the pre-activation", index_format, Uniform, "a polynomial is on one grid")
    rescale = Rescale.from_real(in_scale, index_format, bias, acc_bits, multiplier_bits)
    out_step = Fraction(target.unit_scale(target.checked_target(out_format)))
    return rescale, Fraction(index_format.scale), out_step
