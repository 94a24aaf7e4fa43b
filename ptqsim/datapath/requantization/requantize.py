"""From an accumulator to the codes of the next layer: one multiplication and one rounding.

The real multiplier of a layer, scale_in / scale_out, becomes an integer multiplier and a right shift, as in gemmlowp:
aligned_out = round(acc * multiplier / 2**shift). What differs between units is only the rounding of that quotient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.common.choice import Choice
from ptqsim.common.validation import checked_integer, checked_scale
from ptqsim.datapath.requantization.factor import requantization_factor
from ptqsim.errors import ArgumentTypeError
from ptqsim.formats.arrays.codes import in_default_environment
from ptqsim.formats.arrays.given import as_integers
from ptqsim.formats.arrays.immutable import Constructed, reconstructed
from ptqsim.formats.base import Codes, NumberFormat
from ptqsim.formats.rounding import RoundingMode
from ptqsim.formats.uniform import Uniform


class RequantizeRounding(Choice):
    """Rounding of acc * multiplier / 2**shift.

    ================= ==================================================================================================
    ``half_away``     to nearest, a half away from zero
    ``half_even``     to nearest, a half to the even neighbor
    ``half_up``       to nearest, a half toward positive infinity: add half, then shift right
    ``truncate``      shift right and nothing else, which is toward negative infinity
    ``toward_zero``   drop the fraction
    ``tflite_single`` `half_up` with a 31-bit multiplier: TFLite's code for TFLITE_SINGLE_ROUNDING
    ``tflite_double`` gemmlowp and tflite-micro, two roundings: the upper half of the doubled 64-bit product, a half
                      toward positive infinity (SaturatingRoundingDoublingHighMul), then the rest of the shift, a half
                      away from zero (RoundingDivideByPOT)
    ================= ==================================================================================================
    """

    HALF_AWAY = "half_away"
    HALF_EVEN = "half_even"
    HALF_UP = "half_up"
    TRUNCATE = "truncate"
    TOWARD_ZERO = "toward_zero"
    TFLITE_SINGLE = "tflite_single"
    TFLITE_DOUBLE = "tflite_double"


_TFLITE = (RequantizeRounding.TFLITE_SINGLE, RequantizeRounding.TFLITE_DOUBLE)
_INT32_MIN, _INT32_MAX = -(1 << 31), (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Requantizer(Constructed):
    """A unit that computes round(acc * multiplier / 2**shift).

    Parameters
    ----------
    multiplier : int
        Positive, below 2**31.
    shift : int
        Right shift, -32 to 94; negative is to the left.
    rounding : RequantizeRounding or str
        A `RequantizeRounding`, or its name.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is out of its range, or a TFLite rounding is given a multiplier of less than 31 bits.
    """

    multiplier: int
    shift: int
    rounding: RequantizeRounding = RequantizeRounding.HALF_AWAY

    # Written out, because it takes more types than the fields have.
    def __init__(
        self, multiplier: int, shift: int, rounding: RequantizeRounding | str = RequantizeRounding.HALF_AWAY
    ) -> None:
        object.__setattr__(self, "multiplier", checked_integer("multiplier", multiplier, 1, _INT32_MAX))
        object.__setattr__(self, "shift", checked_integer("shift", shift, -32, 94))
        object.__setattr__(self, "rounding", RequantizeRounding.of(rounding))
        if self.rounding in _TFLITE and self.multiplier < 1 << 30:
            raise ValueError(
                f"rounding {str(self.rounding)!r} is defined for a multiplier of 31 bits (2**30 to 2**31 - 1), got "
                f"{self.multiplier}; take multiplier_bits=31"
            )

    @classmethod
    def of(
        cls,
        factor: float,
        multiplier_bits: int = 31,
        rounding: RequantizeRounding | str = RequantizeRounding.HALF_AWAY,
    ) -> Requantizer:
        """The unit nearest to a real factor; for the roundings of TFLite the one that TFLite takes.

        TFLite's QuantizeMultiplier rounds a half away from zero, and its single rounding takes 2**31 - 1 and a shift to
        the left of 30 for every factor of 2**30 or more. For the other roundings a half goes to the even multiplier.

        Parameters
        ----------
        factor : float
            scale_in / scale_out, from 2**-62 to below 2**32.
        multiplier_bits : int, optional
            Significant bits of the multiplier, 1 to 31.
        rounding : str, optional
            A `RequantizeRounding`, or its name.
        """
        bits, rounding = checked_integer("multiplier_bits", multiplier_bits, 1, 31), RequantizeRounding.of(rounding)
        # factor = mantissa * 2**exponent, mantissa in [1/2, 1)
        mantissa, exponent = math.frexp(checked_scale(factor, "factor"))
        if not -62 < exponent <= 32:
            raise ValueError(f"the factor scale_in / scale_out must be between 2**-62 and 2**32, got {factor!r}")
        scaled = Fraction(mantissa) * (1 << bits)
        multiplier = math.floor(scaled + Fraction(1, 2)) if rounding in _TFLITE else round(scaled)
        if multiplier == 1 << bits:
            multiplier, exponent = multiplier // 2, exponent + 1
        if rounding == RequantizeRounding.TFLITE_SINGLE and exponent > 30:
            multiplier, exponent = _INT32_MAX, 30
        return cls(multiplier, bits - exponent, rounding)

    @property
    def factor(self) -> float:
        """The real factor that multiplier and shift stand for."""
        return math.ldexp(self.multiplier, -self.shift)

    def apply(self, acc: ArrayLike) -> NDArray[np.int64]:
        """round(acc * multiplier / 2**shift) for every integer of `acc`, in its shape.

        Raises
        ------
        ValueError
            If `acc` is not integer, if a result leaves 63 bits, or, for ``tflite_double``, if a value leaves int32.
        """
        return reconstructed(self)._apply(_integers("acc", acc))

    def _apply(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        largest = max(abs(int(values.min(initial=0))), abs(int(values.max(initial=0))))
        if (largest * self.multiplier << max(0, -self.shift)) >> max(0, self.shift) >= 1 << 62:
            raise ValueError(f"accumulators up to {largest} times {self.factor:.6g} leave 63 bits")
        if self.rounding == RequantizeRounding.TFLITE_DOUBLE:
            return self._in_two_roundings(values)
        # The product may need 63 + 31 bits: beyond one machine word it is worked out in Python integers. A shift to the
        # left leaves it in the word, as the result is within 62 bits.
        fits = largest * self.multiplier < 1 << 62
        wide = values.astype(np.int64 if fits else object)
        return np.asarray(_shifted(wide * self.multiplier, self.shift, self.rounding)).astype(np.int64)

    def _in_two_roundings(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        # factor = multiplier / 2**31 * 2**exponent; a positive exponent is applied first, to the int32 input.
        left, right = max(0, 31 - self.shift), max(0, self.shift - 31)
        for extreme in (int(values.min(initial=0)), int(values.max(initial=0))):
            if not _INT32_MIN <= extreme << left <= _INT32_MAX:
                raise ValueError(
                    f"rounding 'tflite_double' works in int32, and {extreme} << {left} is outside; narrow the "
                    "accumulator, or use another rounding"
                )
        return _rounded_twice(values << left, self.multiplier, right)


@in_default_environment
def requantize(
    acc: ArrayLike,
    scale: ArrayLike,
    number_format: NumberFormat,
    rounding: RequantizeRounding | str = RequantizeRounding.HALF_AWAY,
    multiplier_bits: int | None = 31,
    bias: ArrayLike | None = None,
) -> Codes:
    """Codes of ``(acc + bias) * scale`` in another format.

    Parameters
    ----------
    acc : array_like
        Integers of any shape, such as `MatmulResult.acc`.
    scale : float or array_like
        Real value of one unit of `acc`, such as `MatmulResult.scale`; of operands with scales per channel an array that
        broadcasts against `acc`, and every channel has a multiplier of its own.
    number_format : NumberFormat
        `Uniform`, with one scale or one per channel. A twin format follows a softmax or a GELU, which is no
        multiplication.
    rounding : str, optional
        A `RequantizeRounding`, or its name. The rounding of the format itself is not used.
    multiplier_bits : int, optional
        Significant bits of the integer multiplier, 1 to 31; None multiplies by the real factor in float64.
    bias : array_like, optional
        Integers on the grid of `acc`, added to it exactly; broadcast against `acc`.

    Returns
    -------
    array
        Codes in the shape of `acc`, clamped to the format.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is out of its range, ``scale / number_format.scale`` is no normal float64, or a sum or product
        leaves 63 bits.
    """
    given: object = number_format
    if not isinstance(given, Uniform):
        raise (ValueError if isinstance(given, NumberFormat) else ArgumentTypeError)(
            f"requantize gives Uniform codes, got {type(number_format).__name__}; for another format encode acc * "
            "scale, after its softmax or GELU for a twin format"
        )
    number_format = reconstructed(number_format)
    values = _integers("acc", acc)
    if bias is not None:
        values = _sum(values, _integers("bias", bias))
    number_format.check_shape("codes", values.shape)
    factor = requantization_factor(scale, number_format, values.shape)
    if multiplier_bits is None:
        with np.errstate(over="ignore"):  # an infinite product is clamped as a large one is
            reals = _rounded(values * np.float64(factor), RequantizeRounding.of(rounding))
        aligned = np.clip(reals, number_format.aligned_min, number_format.aligned_max).astype(np.int64)
    elif isinstance(factor, float):
        aligned = Requantizer.of(factor, multiplier_bits, rounding).apply(values)
    else:
        aligned = np.empty(values.shape, np.int64)
        for channel, each in np.ndenumerate(factor):
            unit = Requantizer.of(float(each), multiplier_bits, rounding)
            place = (..., *(slice(None) if n == 1 else i for i, n in zip(channel, factor.shape, strict=True)))
            aligned[place] = unit.apply(values[place])
    clamped = np.clip(aligned, number_format.aligned_min, number_format.aligned_max)
    dtype: Any = number_format.code_dtype
    return np.asarray((clamped + number_format.zero_point) & (number_format.code_count - 1), dtype)


def _integers(what: str, given: ArrayLike) -> NDArray[np.int64]:
    legal = "integers of at most 64 bits, signed"
    array = as_integers(what, given, legal)
    if array.dtype == np.uint64:
        raise ArgumentTypeError(f"{what} must be {legal}, got an array of {array.dtype}")
    return array.astype(np.int64, copy=False)


def _sum(acc: NDArray[np.int64], bias: NDArray[np.int64]) -> NDArray[np.int64]:
    try:
        broadcast = np.broadcast_to(bias, acc.shape)
    except ValueError:
        raise ValueError(f"bias {bias.shape} does not broadcast to acc {acc.shape}") from None
    for name, array in (("acc", acc), ("bias", bias)):
        if max(int(array.max(initial=0)), -int(array.min(initial=0))) > 1 << 61:
            raise ValueError(f"{name} has magnitudes above 2**61, and acc + bias might leave 63 bits")
    return acc + broadcast


def _rounded_twice(values: NDArray[np.int64], multiplier: int, shift: int) -> NDArray[np.int64]:
    """gemmlowp's SaturatingRoundingDoublingHighMul by `multiplier`, then its RoundingDivideByPOT by `shift`."""
    high = _shifted(values * multiplier, 31, RequantizeRounding.HALF_UP)
    return np.asarray(_shifted(high, shift, RequantizeRounding.HALF_AWAY))


def _shifted(values: NDArray[Any], shift: int, rounding: RequantizeRounding) -> NDArray[Any]:
    """values / 2**shift, rounded; `values` are int64, or Python integers in an object array."""
    if shift <= 0:
        return values << -shift
    if shift > 62:
        values = values.astype(object)
    floor: Any = values >> shift
    rest, half = values - (floor << shift), 1 << (shift - 1)  # 0 <= rest < 2 * half
    up: Any
    match rounding:
        case RequantizeRounding.TRUNCATE:
            up = 0
        case RequantizeRounding.TOWARD_ZERO:
            up = (values < 0) & (rest > 0)
        case RequantizeRounding.HALF_AWAY:
            up = rest + (values >= 0) > half
        case RequantizeRounding.HALF_EVEN:
            up = rest + (floor & 1) > half
        case _:  # half up, and TFLite's single rounding, which is that
            up = rest >= half
    return np.asarray(floor + up)


def _rounded(quotients: NDArray[np.float64], rounding: RequantizeRounding) -> NDArray[np.float64]:
    """Reals to integers; only multiplication by a real factor needs it."""
    if rounding in _TFLITE:
        raise ValueError(f"rounding {str(rounding)!r} is defined for multiplier_bits=31, not for a real factor")
    if rounding == RequantizeRounding.TRUNCATE:
        return np.floor(quotients)
    return RoundingMode(rounding).of_reals(quotients)
