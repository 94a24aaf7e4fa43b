"""From an accumulator to the codes of the next operand: a bias, a multiplier, and one rounding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.common.validation import checked_type
from ptqsim.formats.base import NumberFormat
from ptqsim.kernels.units import elementwise
from ptqsim.units import target
from ptqsim.units.constants import Multiplier, checked_integers, nearest, one_channel_count, reals, scales, spread
from ptqsim.units.interval import Interval, check_words, hull, of_values, signed_interval
from ptqsim.units.protocol import Input, Trace, Unit, checked_input_bits, run_rows
from ptqsim.units.reference import rescale as reference


@dataclass(frozen=True)
class Rescale(Unit):
    """A requantizer with a bias: code of (acc + bias) * mantissa / 2**shift, a half rounded up.

    Parameters
    ----------
    out_format : NumberFormat
        `Uniform`, `TwinSoftmax`, `TwinGELU` or `Log2`.
    multiplier : Multiplier
        (real value of one unit of acc) / (step of the finest grid of `out_format`, 1 for `Log2`).
    bias : sequence of int, optional
        One, or one per channel, on the grid of acc.
    acc_bits : int, optional
        Signed width of acc, 2 to 48.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is out of its range, the numbers of channels differ, or a product needs more than 63 bits.

    Notes
    -----
    It is `ptqsim.requantize` with rounding ``half_up``, extended to one multiplier per channel and to targets with a
    zero point or two ranges.
    """

    kind: ClassVar[str] = "rescale"
    source: ClassVar[str] = "Jacob et al., CVPR 2018, section 2.2; gemmlowp, output stages"

    out_format: NumberFormat
    multiplier: Multiplier
    bias: tuple[int, ...] = (0,)
    acc_bits: int = 32

    # Written out, because it takes more types than the fields have.
    def __init__(
        self, out_format: NumberFormat, multiplier: Multiplier, bias: Sequence[int] = (0,), acc_bits: int = 32
    ) -> None:
        object.__setattr__(self, "out_format", target.checked_target(out_format))
        object.__setattr__(self, "multiplier", checked_type("multiplier", multiplier, Multiplier))
        object.__setattr__(self, "acc_bits", checked_input_bits("acc_bits", acc_bits))
        limit = 1 << (self.acc_bits - 1)
        object.__setattr__(self, "bias", checked_integers("bias", bias, -limit, limit - 1))
        one_channel_count("a Rescale", multiplier=self.multiplier.channels, bias=len(self.bias))
        check_words("a Rescale", self.widths(), "take a multiplier of fewer bits, or a narrower accumulator")

    @classmethod
    def from_real(
        cls,
        in_scale: ArrayLike,
        out_format: NumberFormat,
        bias: ArrayLike = 0.0,
        acc_bits: int = 32,
        multiplier_bits: int = 16,
    ) -> Rescale:
        """The unit nearest to real parameters.

        Parameters
        ----------
        in_scale : float or array of shape (C,)
            Real value of one unit of acc, for the tensor or for every channel.
        out_format : NumberFormat
            As for the unit.
        bias : float or array of shape (C,), optional
            Real bias; it becomes the nearest integer on the grid of acc.
        acc_bits : int, optional
            As for the unit.
        multiplier_bits : int, optional
            Significant bits of the multipliers, 1 to 31.
        """
        out_format = target.checked_target(out_format)
        step = Fraction(target.unit_scale(out_format))
        units = scales("in_scale", in_scale)
        multiplier = Multiplier.of([float(unit / step) for unit in units], multiplier_bits)
        return cls(out_format, multiplier, integer_bias(bias, units), acc_bits)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The accumulator."""
        return (Input("acc", self.acc_bits),)

    @property
    def channels(self) -> int | None:
        """Number of channels, if the multiplier or the bias has one entry for each."""
        return max(self.multiplier.channels, len(self.bias)) if self._per_channel else None

    @property
    def _per_channel(self) -> bool:
        return self.multiplier.channels > 1 or len(self.bias) > 1

    def widths(self) -> dict[str, Interval]:
        """The integers that every named value can be."""
        biased = signed_interval(self.acc_bits) + of_values(self.bias)
        factors = sorted(set(zip(self.multiplier.mantissa, self.multiplier.shift, strict=True)))
        products = [biased * Interval(mantissa, mantissa) for mantissa, _ in factors]
        found = [
            target.widths_of_shift(product, shift, self.out_format)
            for product, (_, shift) in zip(products, factors, strict=True)
        ]
        return {"biased": biased, "product": hull(products)} | {
            name: hull(one[name] for one in found) for name in found[0]
        }

    def _trace(self, *rows: Sequence[int]) -> Trace:
        return reference.trace(self, rows[0])

    def kernel_constants(self, n: int) -> tuple[NDArray[np.int64], ...]:
        """Bias, mantissa and shift of every value of a row of n, and the constants of the output format."""
        return (
            self._constant("bias", self.bias, n),
            self._constant("mantissa", self.multiplier.mantissa, n),
            self._constant("shift", self.multiplier.shift, n),
            target.kernel_constants(self.out_format),
        )

    def _run(self, rows: tuple[NDArray[np.int64], ...], codes: NDArray[Any]) -> None:
        run_rows(elementwise.rescale, rows[0], rows[0], *self.kernel_constants(codes.shape[1]), codes)


def integer_bias(bias: ArrayLike, units: Sequence[Fraction]) -> tuple[int, ...]:
    """A real bias on the grid of an accumulator: one integer per channel if the bias or the grid is per channel."""
    values = [Fraction(value) for value in reals("bias", bias)]
    count = one_channel_count("a bias", in_scale=len(units), bias=len(values))
    if not any(values):
        return (0,)
    return tuple(nearest(v / u) for v, u in zip(spread(values, count), spread(units, count), strict=True))
