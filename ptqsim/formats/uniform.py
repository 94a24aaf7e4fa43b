"""Uniform symmetric quantization."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ptqsim.common.validation import checked_bits, checked_scale
from ptqsim.formats.arrays import codes as code_arrays
from ptqsim.formats.arrays.codes import KernelConstants, Rounder
from ptqsim.formats.arrays.immutable import seal
from ptqsim.formats.base import Codes, GridRange, NumberFormat, check_largest
from ptqsim.formats.rounding import TIES, RoundingMode
from ptqsim.kernels.codes import codec, grid


@dataclass(frozen=True, slots=True)
class Uniform(NumberFormat):
    """Uniform symmetric format (PTQ4ViT, Eq. 2): aligned = clamp(round(x / scale), -2**(k-1), 2**(k-1) - 1).

    The code is the aligned value in two's complement of k bits.

    Parameters
    ----------
    bits : int
        Width k of a code, 2 to 16.
    scale : float
        The step, finite and positive.
    rounding : RoundingMode or str
        A `RoundingMode`, or its name.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is out of its range.
    """

    kind: ClassVar[str] = "uniform"

    bits: int
    scale: float
    rounding: RoundingMode = RoundingMode.HALF_EVEN

    # Written out, because it takes more types than the fields have.
    def __init__(self, bits: int, scale: float, rounding: RoundingMode | str = RoundingMode.HALF_EVEN) -> None:
        object.__setattr__(self, "bits", checked_bits(bits))
        object.__setattr__(self, "scale", checked_scale(scale))
        object.__setattr__(self, "rounding", RoundingMode.of(rounding))
        check_largest(self, self._largest)

    @property
    def _largest(self) -> float:
        return (1 << (self.bits - 1)) * self.scale

    @property
    def shift(self) -> int:
        """0: there is one range."""
        return 0

    def ranges(self) -> tuple[GridRange, ...]:
        """The one range, which is not shifted."""
        return _ranges(self.bits)

    def aligned_table(self) -> NDArray[np.int64]:
        """Two's complement of every code."""
        return _ranges(self.bits)[0].mantissa

    def _encode(self, x: NDArray[Any]) -> Codes:
        """Codes by Eq. 2."""
        limits, rounding = _constants(self, x.dtype)
        mask = np.int32((1 << self.bits) - 1)
        return code_arrays.encode(codec.encode_uniform, x, self.bits, ((*limits, mask), rounding))

    def _rounder(self, dtype: np.dtype[Any]) -> Rounder:
        return _rounder(self, dtype)


@lru_cache(maxsize=1024)
def _rounder(uniform: Uniform, dtype: np.dtype[Any]) -> Rounder:
    limits, rounding = _constants(uniform, dtype)
    constants = (*limits, code_arrays.step_in_type(dtype, uniform.scale)), rounding
    return Rounder(grid.round_uniform, constants, uniform._largest)


@lru_cache(maxsize=1024)
def _constants(uniform: Uniform, dtype: np.dtype[Any]) -> KernelConstants:
    """Scale and limits of Eq. 2, which are integers below 2**16 and exact in every float type; and the rounding."""
    half, ties = 1 << (uniform.bits - 1), TIES[uniform.rounding]
    limits = dtype.type(-half), dtype.type(half - 1)
    return (code_arrays.in_type(dtype, uniform.scale), *limits), ties.of_kernels(dtype)


@lru_cache
def _ranges(bits: int) -> tuple[GridRange, ...]:
    codes = np.arange(1 << bits)
    two_complement = np.where(codes >> (bits - 1), codes - (1 << bits), codes)
    return (GridRange(0, seal(two_complement)),)
