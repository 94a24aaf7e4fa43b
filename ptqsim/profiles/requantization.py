"""Requantizations that libraries do: the factor, in their own precision, and what is made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.common.choice import Choice
from ptqsim.datapath.requantization.requantize import Requantizer
from ptqsim.formats.arrays.codes import in_default_environment
from ptqsim.formats.arrays.immutable import Constructed

# TFLite and CMSIS-NN: multipliers from here on would round to 2**15, which 16 bits do not hold.
_LAST_SHORT = 0x7FFF0000


class Precision(Choice):
    """Precision in which the factor scale_a * scale_b / scale_out is computed from scales in float32.

    ``double``: all in float64. ``product``: the product of both scales in float32, the quotient in float64.
    ``single``: both in float32.
    """

    DOUBLE = "double"
    PRODUCT = "product"
    SINGLE = "single"


class Method(Choice):
    """Arithmetic of acc * factor.

    ============ =======================================================================================================
    ``gemmlowp`` a multiplier of 31 bits and two roundings, the second one away from zero: `RequantizeRounding`'s
                 ``tflite_double``
    ``ruy``      the same multiplier and two roundings, a half toward positive infinity in both
    ``short``    the same multiplier rounded to 15 bits, one rounding, a half toward positive infinity
    ``float64``  the product in float64, a half away from zero
    ``float32``  the product of acc and factor in float32, rounded to float32 and then to an integer, a half to the even
                 one
    ============ =======================================================================================================
    """

    GEMMLOWP = "gemmlowp"
    RUY = "ruy"
    SHORT = "short"
    FLOAT64 = "float64"
    FLOAT32 = "float32"


@dataclass(frozen=True, slots=True)
class Requantization(Constructed):
    """The multiplication and rounding that follow an accumulator.

    Parameters
    ----------
    method : Method or str
        A `Method`, or its name.
    precision : Precision or str
        A `Precision` of the factor, or its name.
    by_channel : Precision or str, optional
        That of the factors of scales per channel; the same by default.
    """

    method: Method
    precision: Precision
    by_channel: Precision

    # Written out, because it takes more types than the fields have.
    def __init__(
        self, method: Method | str, precision: Precision | str, by_channel: Precision | str | None = None
    ) -> None:
        object.__setattr__(self, "method", Method.of(method))
        object.__setattr__(self, "precision", Precision.of(precision))
        object.__setattr__(self, "by_channel", self.precision if by_channel is None else Precision.of(by_channel))

    def factor(self, a_scale: ArrayLike, b_scale: ArrayLike, out_scale: ArrayLike) -> NDArray[np.float64]:
        """The factor scale_a * scale_b / scale_out; scales are rounded to float32 first, and broadcast."""
        a, b, out = (np.asarray(scale, np.float32) for scale in (a_scale, b_scale, out_scale))
        precision = self.by_channel if a.ndim or b.ndim or out.ndim else self.precision
        if precision == Precision.DOUBLE:
            return np.asarray(a.astype(np.float64) * b.astype(np.float64) / out.astype(np.float64))
        product = a * b
        if precision == Precision.PRODUCT:
            return np.asarray(product.astype(np.float64) / out.astype(np.float64))
        return np.asarray(product / out, np.float64)

    def units(self, factor: float) -> tuple[Requantizer, ...]:
        """The integer units, one after the other, that multiply by a factor; none for the methods in floating point."""
        if self.method in (Method.FLOAT64, Method.FLOAT32):
            return ()
        one = Requantizer.of(factor, rounding="tflite_double")
        if self.method == Method.GEMMLOWP:
            return (one,)
        if self.method == Method.SHORT:
            short = (one.multiplier + (1 << 15)) >> 16 if one.multiplier < _LAST_SHORT else 0x7FFF
            return (Requantizer(short, one.shift - 16, "half_up"),)
        right = max(0, one.shift - 31)
        return Requantizer(one.multiplier, one.shift - right, "half_up"), Requantizer(1, right, "half_up")

    @in_default_environment
    def apply(self, acc: ArrayLike, factor: ArrayLike) -> NDArray[np.int64]:
        """acc * factor, rounded as the library does it; the factor broadcasts against `acc`.

        Raises
        ------
        ValueError
            If `acc` is not integer, or a value leaves what a unit works in.
        """
        values, factors = np.asarray(acc), np.asarray(factor, np.float64)
        if self.method == Method.FLOAT64:
            reals = values * factors
            return _integers(np.copysign(np.floor(np.abs(reals) + 0.5), reals))
        if self.method == Method.FLOAT32:
            return _integers(np.rint(values.astype(np.float32) * factors.astype(np.float32)))
        if factors.size == 1:
            return self._run(values, float(factors.item()))
        out = np.empty(values.shape, np.int64)
        for channel, each in np.ndenumerate(factors):
            where = zip(channel, factors.shape, strict=True)
            place = (..., *(slice(None) if size == 1 else index for index, size in where))
            out[place] = self._run(values[place], float(each))
        return out

    def _run(self, values: NDArray[Any], factor: float) -> NDArray[np.int64]:
        for unit in self.units(factor):
            values = unit.apply(values)
        return values


def _integers(reals: NDArray[Any]) -> NDArray[np.int64]:
    """Whole numbers in int64, clamped to what it holds; every format clamps them further."""
    limit = 2.0**62
    return np.asarray(np.clip(reals, -limit, limit), np.int64)
