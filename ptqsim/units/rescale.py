"""From an accumulator to the codes of the next operand: a bias, a multiplier, and one rounding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.common.validation import checked_type
from ptqsim.formats.base import NumberFormat
from ptqsim.formats.rounding import RangeChoice
from ptqsim.formats.twin import TwinGELU
from ptqsim.formats.uniform import Uniform
from ptqsim.kernels.units import elementwise
from ptqsim.kernels.units import vectors as vector_kernels
from ptqsim.units import target, vectors
from ptqsim.units.constants import (
    MAX_SHIFT,
    Multiplier,
    checked_integers,
    nearest,
    one_channel_count,
    reals,
    scales,
    spread,
)
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

    def numerators(self, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64], int] | None:
        """Factors and addends [1, n] with one shift that give the same quotients; None if they do not fit a word."""
        found = vectors.on_one_shift(
            self.multiplier.mantissa, self.multiplier.shift, signed_interval(self.acc_bits) + of_values(self.bias)
        )
        if found is None:
            return None
        factors, shift = found
        count = max(len(factors), len(self.bias))
        addends = [b * m for b, m in zip(spread(self.bias, count), spread(factors, count), strict=True)]
        m, more = vectors.row_of(factors, n), vectors.row_of(addends, n)
        return None if m is None or more is None else (m, more, shift)

    def _vector(self, n: int) -> vectors.Vector | None:
        found = self.numerators(n)
        if found is None:
            return None
        factors, addends, shift = found
        if isinstance(self.out_format, Uniform):
            limits = vectors.limits_of(self.out_format, shift)
            return vectors.Vector(vector_kernels.rescale, (factors, addends + vectors.half_of(shift), limits))
        index = index_of(self.out_format, shift)
        if index is None:
            return None
        table = index.codes.astype(self.out_format.code_dtype)[None]
        return vectors.Vector(vector_kernels.look_up, (factors, addends, index.limits, table))

    def _run(self, rows: tuple[NDArray[np.int64], ...], codes: NDArray[Any]) -> None:
        run_rows(elementwise.rescale, rows[0], rows[0], *self.kernel_constants(codes.shape[1]), codes)


class Index(NamedTuple):
    """The way from a numerator to the place of its code in a table.

    `limits` are those of `ptqsim.kernels.units.vectors.look_up`, and `codes` those of all places.
    """

    limits: NDArray[np.int64]
    codes: NDArray[np.int64]


def index_of(number_format: NumberFormat, shift: int) -> Index | None:
    """The index for quotients n / 2**shift in a format with one rounding for either sign; None for other formats."""
    if isinstance(number_format, Uniform):
        low, high, half = number_format.aligned_min, number_format.aligned_max, vectors.half_of(shift)
        codes = (np.arange(low, high + 1) + number_format.zero_point) & ((1 << number_format.bits) - 1)
        return Index(np.array([[shift, half, shift, half, low, high]], np.int64), codes)
    if isinstance(number_format, TwinGELU):
        flag = 1 << (number_format.bits - 1)
        wide = shift + number_format.shift
        if wide > MAX_SHIFT:
            return None
        half = vectors.half_of(wide)
        down = number_format.range_choice == RangeChoice.NEAREST and half > 0
        values = np.arange(1 - flag, flag)
        limits = [[shift, vectors.half_of(shift), wide, half - down, 1 - flag, flag - 1]]
        return Index(np.array(limits, np.int64), np.where(values > 0, values | flag, -values))
    return None


def integer_bias(bias: ArrayLike, units: Sequence[Fraction]) -> tuple[int, ...]:
    """A real bias on the grid of an accumulator: one integer per channel if the bias or the grid is per channel."""
    values = [Fraction(value) for value in reals("bias", bias)]
    count = one_channel_count("a bias", in_scale=len(units), bias=len(values))
    if not any(values):
        return (0,)
    return tuple(nearest(v / u) for v, u in zip(spread(values, count), spread(units, count), strict=True))
