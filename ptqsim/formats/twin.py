"""Twin uniform quantization: two ranges whose scales differ by a power of two."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ptqsim.common.validation import checked_bits, checked_integer, checked_scale
from ptqsim.formats.arrays import codes as code_arrays
from ptqsim.formats.arrays.codes import KernelConstants, Rounder
from ptqsim.formats.arrays.immutable import seal
from ptqsim.formats.base import Codes, GridRange, NumberFormat, check_largest, sum_of_ranges
from ptqsim.formats.rounding import TIES, TIES_TO_ZERO, RangeChoice, RoundingMode
from ptqsim.kernels.codes import codec, grid

MAX_SHIFT = 32
"""Largest alignment exponent: a 16-bit code is then aligned in 48 bits, which float64 still holds exactly."""

GELU_MIN = -0.16997124254703522
"""Magnitude that the negative range of a GELU format has to cover, as in PTQ4ViT's released code.

The least value of GELU(x) = x * Phi(x) is -0.1699712074799, 3.5e-8 above this number, so that it is covered.
"""

_SHIFT_ADVICE = "the two scales differ by 2**shift, so that the ranges can be aligned by a shift (PTQ4ViT, Eq. 5)"


@dataclass(frozen=True, slots=True)
class TwinSoftmax(NumberFormat):
    """Twin uniform format for values after softmax (PTQ4ViT, Eq. 4 and Fig. 4 left).

    The code is flag * 2**(k-1) + magnitude, with magnitudes in 0 .. 2**(k-1) - 1 in both ranges. R2 (flag 1) has the
    scale 2**-(k-1) and reaches to 1 - 2**-(k-1), to which larger values are clamped; R1 (flag 0) has the scale
    2**-(k-1+m) and covers [0, 2**-m).
    aligned = magnitude << (m if flag else 0).

    Parameters
    ----------
    bits : int
        Width k of a code, flag included, 2 to 16.
    shift : int
        Alignment exponent m, 0 to 32. The paper searches 1 to 11.
    rounding : RoundingMode or str
        A `RoundingMode`, or its name. Values below zero are clamped to zero whatever it is.
    range_choice : RangeChoice or str
        A `RangeChoice`, or its name. ``nearest`` takes the least distance and leaves no choice of `rounding`.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is out of its range.

    Notes
    -----
    For m >= k the paper's range rule leaves a hole: values from 2**-m to half a step of R2 (a whole step where rounding
    is toward zero) choose R2 and round to zero there. ``range_choice="nearest"`` gives them the top of R1 instead.
    """

    kind: ClassVar[str] = "twin_softmax"

    bits: int
    shift: int
    rounding: RoundingMode = RoundingMode.HALF_EVEN
    range_choice: RangeChoice = RangeChoice.PAPER

    # Written out, because it takes more types than the fields have.
    def __init__(
        self,
        bits: int,
        shift: int,
        rounding: RoundingMode | str = RoundingMode.HALF_EVEN,
        range_choice: RangeChoice | str = RangeChoice.PAPER,
    ) -> None:
        _set_fields(self, bits, shift, rounding, range_choice)

    @property
    def scale(self) -> float:
        """Scale of R1, the finer range: 2**-(k-1+m)."""
        return 2.0 ** -(self.bits - 1 + self.shift)

    @property
    def split(self) -> float:
        """Least value that the paper's rule sends to R2: 2**-m."""
        return 2.0**-self.shift

    def ranges(self) -> tuple[GridRange, ...]:
        """R1, not shifted, and R2, shifted by m."""
        return _ranges(self.bits, self.shift, 1)

    def aligned_table(self) -> NDArray[np.int64]:
        """Magnitude, sign and shift of every code applied."""
        return _aligned(self.bits, self.shift, 1)

    def _encode(self, x: NDArray[Any]) -> Codes:
        """Codes by Eq. 4."""
        if self.range_choice == RangeChoice.PAPER:
            return _encode_by_range(x, self)
        ranges, ties = _nearest(self, x.dtype)
        flag = np.int32(1 << (self.bits - 1))
        return code_arrays.encode(codec.encode_twin_nearest, x, self.bits, ((*ranges, flag), ties))

    def _rounder(self, dtype: np.dtype[Any]) -> Rounder:
        if self.range_choice == RangeChoice.PAPER:
            return _rounder_by_range(self, dtype)
        return Rounder(grid.round_twin_nearest, _nearest(self, dtype), 1.0)


@dataclass(frozen=True, slots=True)
class TwinGELU(NumberFormat):
    """Twin uniform format for values after GELU (PTQ4ViT, Eq. 4 and Fig. 4 right).

    The code is flag * 2**(k-1) + magnitude, with magnitudes in 0 .. 2**(k-1) - 1 in both ranges. R1 (flag 0) holds the
    negative values with `scale`, R2 (flag 1) the positive ones with ``scale * 2**shift``.
    aligned = -magnitude if the flag is 0, else magnitude << m.

    Parameters
    ----------
    bits : int
        Width k of a code, flag included, 2 to 16.
    shift : int
        Alignment exponent m, 0 to 32.
    scale : float
        Scale of R1, the negative range, finite and positive.
    rounding : RoundingMode or str
        A `RoundingMode`, or its name.
    range_choice : RangeChoice or str
        A `RangeChoice`, or its name. The sign decides the range in both; ``nearest`` takes the smaller magnitude on a
        tie and leaves no choice of `rounding`.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is out of its range.
    """

    kind: ClassVar[str] = "twin_gelu"

    bits: int
    shift: int
    scale: float
    rounding: RoundingMode = RoundingMode.HALF_EVEN
    range_choice: RangeChoice = RangeChoice.PAPER

    # Written out, because it takes more types than the fields have.
    def __init__(
        self,
        bits: int,
        shift: int,
        scale: float,
        rounding: RoundingMode | str = RoundingMode.HALF_EVEN,
        range_choice: RangeChoice | str = RangeChoice.PAPER,
    ) -> None:
        _set_fields(self, bits, shift, rounding, range_choice)
        object.__setattr__(self, "scale", checked_scale(scale))
        check_largest(self, _top(self.bits) * self.positive_scale)

    @classmethod
    def fixed_negative(cls, bits: int, shift: int, lowest: float = GELU_MIN) -> TwinGELU:
        """The paper's pair: R1 just covers the negative values, R2 is 2**shift times as coarse.

        Parameters
        ----------
        bits, shift : int
            As for the format.
        lowest : float, optional
            Least value to cover; R1's greatest magnitude, 2**(k-1) - 1, stands for it.
        """
        return cls(bits, shift, checked_scale(-lowest) / _top(checked_bits(bits)))

    @classmethod
    def covering(
        cls, bits: int, positive_scale: float, lowest: float = GELU_MIN, max_shift: int = MAX_SHIFT
    ) -> TwinGELU:
        """The pair for a given scale of R2: the largest shift with which R1 still covers the negative values.

        If no shift does, it is 0 and the negative values clip.

        Parameters
        ----------
        bits : int
            As for the format.
        positive_scale : float
            Scale of R2, the positive range.
        lowest : float, optional
            Least value to cover.
        max_shift : int, optional
            Largest shift to consider.
        """
        scale = checked_scale(positive_scale)
        reach = _top(checked_bits(bits)) * scale
        shift = 0
        while shift < max_shift and reach / 2 ** (shift + 1) >= -lowest:
            shift += 1
        return cls(bits, shift, scale / 2**shift)

    @property
    def positive_scale(self) -> float:
        """Scale of R2, the positive range."""
        return self.scale * 2.0**self.shift

    def ranges(self) -> tuple[GridRange, ...]:
        """R1, negative and not shifted, and R2, shifted by m."""
        return _ranges(self.bits, self.shift, -1)

    def aligned_table(self) -> NDArray[np.int64]:
        """Magnitude, sign and shift of every code applied."""
        return _aligned(self.bits, self.shift, -1)

    def _encode(self, x: NDArray[Any]) -> Codes:
        """Codes by Eq. 4."""
        return _encode_by_range(x, self)

    def _rounder(self, dtype: np.dtype[Any]) -> Rounder:
        return _rounder_by_range(self, dtype)


def _set_fields(
    twin: TwinSoftmax | TwinGELU, bits: int, shift: int, rounding: RoundingMode | str, range_choice: RangeChoice | str
) -> None:
    object.__setattr__(twin, "bits", checked_bits(bits))
    object.__setattr__(twin, "shift", checked_integer("shift", shift, 0, MAX_SHIFT, _SHIFT_ADVICE))
    object.__setattr__(twin, "rounding", RoundingMode.of(rounding))
    object.__setattr__(twin, "range_choice", RangeChoice.of(range_choice))
    if twin.range_choice == RangeChoice.NEAREST and twin.rounding != RoundingMode.HALF_EVEN:
        raise ValueError(
            f"range_choice='nearest' takes the least distance, which leaves nothing to "
            f"rounding={str(twin.rounding)!r}; leave rounding at its default, or choose range_choice='paper'"
        )


def _top(bits: int) -> int:
    """Greatest magnitude of a twin code."""
    return (1 << (bits - 1)) - 1


@lru_cache
def _ranges(bits: int, shift: int, sign1: int) -> tuple[GridRange, ...]:
    codes = np.arange(1 << bits)
    flag, magnitude = codes >> (bits - 1), codes & _top(bits)
    first, second = np.where(flag == 0, sign1 * magnitude, 0), np.where(flag == 1, magnitude, 0)
    return GridRange(0, seal(first)), GridRange(shift, seal(second))


@lru_cache
def _aligned(bits: int, shift: int, sign1: int) -> NDArray[np.int64]:
    return sum_of_ranges(_ranges(bits, shift, sign1))


@lru_cache(maxsize=1024)
def _by_range(twin: TwinSoftmax | TwinGELU, dtype: np.dtype[Any]) -> KernelConstants:
    """Split, scales, sign of R1 and greatest magnitude; and how ties are rounded."""
    # Both scales are exact in the type of x if one is and the other stays in its range: they differ by a power of two.
    scale1 = code_arrays.in_type(dtype, twin.scale)
    scale2 = code_arrays.in_type(dtype, float(scale1) * 2.0**twin.shift)
    split, sign1 = (twin.split, 1) if isinstance(twin, TwinSoftmax) else (0.0, -1)
    # A range of a GELU format holds one sign, and R1 starts where R2 does: choosing by sign is choosing the nearest,
    # ties apart.
    nearest = twin.range_choice == RangeChoice.NEAREST
    ties = TIES_TO_ZERO if nearest else TIES[twin.rounding]
    constants = (dtype.type(split), scale1, scale2, dtype.type(sign1), dtype.type(_top(twin.bits)))
    return constants, ties.of_kernels(dtype)


@lru_cache(maxsize=1024)
def _nearest(twin: TwinSoftmax, dtype: np.dtype[Any]) -> KernelConstants:
    """Scale of R1, that of R2 in units of it, and greatest magnitude; and how ties are rounded."""
    constants = (code_arrays.in_type(dtype, twin.scale), float(1 << twin.shift), float(_top(twin.bits)))
    return constants, TIES_TO_ZERO.of_kernels(np.dtype(np.float64))


@lru_cache(maxsize=1024)
def _rounder_by_range(twin: TwinSoftmax | TwinGELU, dtype: np.dtype[Any]) -> Rounder:
    ranges, rounding = _by_range(twin, dtype)
    scale2 = twin.scale * 2.0**twin.shift
    steps = (code_arrays.step_in_type(dtype, scale) for scale in (twin.scale, scale2))
    return Rounder(grid.round_twin, ((*ranges, *steps), rounding), _top(twin.bits) * scale2)


def _encode_by_range(x: NDArray[Any], twin: TwinSoftmax | TwinGELU) -> Codes:
    ranges, rounding = _by_range(twin, x.dtype)
    top = _top(twin.bits)
    # Largest magnitude of R2 whose value R1 has as well; only zero if R1 is negative.
    shared = top >> twin.shift if isinstance(twin, TwinSoftmax) else 0
    constants = (*ranges, np.int32(top + 1), np.int32(shared)), rounding
    return code_arrays.encode(codec.encode_twin, x, twin.bits, constants)
