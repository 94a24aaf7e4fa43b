"""Piecewise linear quantization (Fang et al., ECCV 2020), which the paper compares its format with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

import numpy as np
from numpy.typing import NDArray

from ptqsim.common.validation import checked_bits, checked_scale
from ptqsim.formats.arrays import codes as code_arrays
from ptqsim.formats.base import Codes, check_largest
from ptqsim.formats.compared.unaligned import Unaligned
from ptqsim.formats.rounding import RoundingMode
from ptqsim.kernels.runtime.environment import in_default_environment

MAX_BITS = 15
"""One less than of other formats: the range takes a bit of its own."""


@dataclass(frozen=True, slots=True)
class PWLQ(Unaligned):
    """Two ranges with a free scale each: a dense center and two coarse tails.

    The code is flag * 2**k + c with k bits c. In the center (flag 0), abs(x) < `breakpoint`, c is round(x / scale) in
    two's complement. In the tails (flag 1) c is a sign bit and a magnitude of k - 1 bits, and stands for
    +-(breakpoint + magnitude * tail_scale). Both are clamped to the range of their bits.

    The two scales have no common grid, so the ranges are aligned by a fixed-point multiplication instead of a shift.
    This format encodes and decodes, but `ptqsim.matmul` does not take it.

    Parameters
    ----------
    bits : int
        Width k of a value in its range, 2 to 15. Stored are k + 1 bits.
    scale : float
        Step of the center, finite and positive.
    tail_scale : float
        Step of the tails, finite and positive.
    breakpoint : float
        Where the tails start, finite and positive.
    rounding : RoundingMode or str
        A `RoundingMode`, or its name; in the tails it is applied to the magnitude.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is out of its range.
    """

    kind: ClassVar[str] = "pwlq"

    bits: int
    scale: float
    tail_scale: float
    breakpoint: float
    rounding: RoundingMode = RoundingMode.HALF_EVEN

    # Written out, because it takes more types than the fields have.
    def __init__(
        self,
        bits: int,
        scale: float,
        tail_scale: float,
        breakpoint: float,
        rounding: RoundingMode | str = RoundingMode.HALF_EVEN,
    ) -> None:
        object.__setattr__(self, "bits", checked_bits(bits, MAX_BITS))
        for name, given in (("scale", scale), ("tail_scale", tail_scale), ("breakpoint", breakpoint)):
            object.__setattr__(self, name, checked_scale(given, name))
        object.__setattr__(self, "rounding", RoundingMode.of(rounding))
        half = 1 << (self.bits - 1)
        check_largest(self, max(half * self.scale, self.breakpoint + (half - 1) * self.tail_scale))

    @classmethod
    def covering(cls, bits: int, breakpoint: float, largest: float) -> PWLQ:
        """The format whose center reaches `breakpoint` and whose tails reach `largest`.

        Raises
        ------
        ValueError
            If `largest` is not above `breakpoint`.
        """
        top = (1 << (checked_bits(bits, MAX_BITS) - 1)) - 1
        if not largest > breakpoint:
            raise ValueError(f"the largest magnitude ({largest!r}) must be above the breakpoint ({breakpoint!r})")
        return cls(bits, breakpoint / top, (largest - breakpoint) / top, breakpoint)

    @property
    def storage_bits(self) -> int:
        """k + 1: the range takes a bit of its own."""
        return self.bits + 1

    def _refuse(self) -> NoReturn:
        raise ValueError(
            f"PWLQ has two free scales ({self.scale:.6g} and {self.tail_scale:.6g}), which no shift aligns; "
            "decode() gives its real values, and TwinGELU or TwinSoftmax are two ranges that a shift does align"
        )

    @in_default_environment
    def real_table(self) -> NDArray[np.float64]:
        """The real value of every code."""
        half = 1 << (self.bits - 1)
        c = np.arange(2 * half)
        center = np.where(c >= half, c - 2 * half, c) * self.scale
        tails = np.where(c >= half, -1.0, 1.0) * (self.breakpoint + (c & (half - 1)) * self.tail_scale)
        return np.concatenate([center, tails])

    def _encode(self, x: NDArray[Any]) -> Codes:
        """Codes by range and then by rounding."""
        x = code_arrays.finite(x)
        half, mode = 1 << (self.bits - 1), self.rounding
        start = code_arrays.in_type(x.dtype, self.breakpoint, "breakpoint")
        with np.errstate(over="ignore"):
            center = mode.of_reals(x / code_arrays.in_type(x.dtype, self.scale))
            tail = mode.of_reals((np.abs(x) - start) / code_arrays.in_type(x.dtype, self.tail_scale, "tail_scale"))
        inner = np.clip(center, -half, half - 1).astype(np.int64) & (2 * half - 1)
        outer = np.clip(tail, 0, half - 1).astype(np.int64) + 2 * half + np.where(x < 0, half, 0)
        chosen: NDArray[Any] = np.where(np.abs(x) < start, inner, outer)
        dtype: Any = self.code_dtype
        return np.asarray(chosen, dtype)
