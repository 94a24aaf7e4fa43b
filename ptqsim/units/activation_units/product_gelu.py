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
from ptqsim.units.interval import Interval
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
    """

    sign: ClassVar[int] = 1
    """Sign of the factor's grid: -1 if its unit is negative."""

    multiplier: Multiplier

    def _set_common(self, out_format: NumberFormat, rescale: Rescale, multiplier: Multiplier) -> None:
        given = checked_type("rescale", rescale, Rescale)
        checked_type("the format of the pre-activation", given.out_format, Uniform, "a polynomial is on one grid")
        object.__setattr__(self, "out_format", target.checked_target(out_format))
        object.__setattr__(self, "rescale", given)
        object.__setattr__(self, "multiplier", checked_one(multiplier))

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
    """The rescaling to a pre-activation on one grid, its step, and that of the output."""
    checked_type("the format of the pre-activation", index_format, Uniform, "a polynomial is on one grid")
    rescale = Rescale.from_real(in_scale, index_format, bias, acc_bits, multiplier_bits)
    out_step = Fraction(target.unit_scale(target.checked_target(out_format)))
    return rescale, Fraction(index_format.scale), out_step
