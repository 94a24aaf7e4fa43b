"""Power-of-two quantization."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ptqsim.common.validation import checked_bits
from ptqsim.formats.arrays import codes as code_arrays
from ptqsim.formats.arrays.immutable import seal
from ptqsim.formats.base import Codes, GridRange, NumberFormat
from ptqsim.formats.rounding import RoundingMode
from ptqsim.kernels.runtime.environment import in_default_environment

MAX_BITS = 8
"""Above this the smallest power of two is no float64 any more."""

MAX_ALIGNED_BITS = 5
"""Above this the aligned values take more than 31 bits: 2**k - 1 of them."""


@dataclass(frozen=True, slots=True)
class Log2(NumberFormat):
    """Powers of two for values in [0, 1]: code c stands for 2**-c, the largest code for zero.

    A product with such a value is a shift. On the finest grid, whose step is the smallest power 2**-(2**k - 2), a code
    is the integer 2**(2**k - 2 - c), so that the codes of up to 5 bits can be accumulated like any other.

    Parameters
    ----------
    bits : int
        Width k of a code, 2 to 8.
    rounding : RoundingMode or str
        A `RoundingMode`, or its name, for -log2(x). No float is halfway between two powers on the logarithmic scale,
        so the three modes that round to nearest agree; ``toward_zero`` takes the larger power. Values below zero are
        taken as zero, and so are values nearer to the next power below the smallest one.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is out of its range.
    """

    kind: ClassVar[str] = "log2"

    bits: int
    rounding: RoundingMode = RoundingMode.HALF_EVEN

    # Written out, because it takes more types than the fields have.
    def __init__(self, bits: int, rounding: RoundingMode | str = RoundingMode.HALF_EVEN) -> None:
        object.__setattr__(self, "bits", checked_bits(bits, MAX_BITS))
        object.__setattr__(self, "rounding", RoundingMode.of(rounding))

    @property
    def scale(self) -> float:
        """The smallest power of two that has a code."""
        return 2.0 ** -(self.code_count - 2)

    @property
    def shift(self) -> int:
        """0: there is one range."""
        return 0

    @property
    def shift_alignable(self) -> bool:
        """True if the powers of two fit 31 bits, which holds for up to 5 bits."""
        return self.bits <= MAX_ALIGNED_BITS

    def ranges(self) -> tuple[GridRange, ...]:
        """The one range, which is not shifted."""
        return (GridRange(0, self.aligned_table()),)

    def aligned_table(self) -> NDArray[np.int64]:
        """The integer power of two of every code."""
        if not self.shift_alignable:
            raise ValueError(
                f"aligned values of Log2({self.bits}) would take {self.code_count - 1} bits; a datapath takes "
                f"Log2 of up to {MAX_ALIGNED_BITS} bits"
            )
        return _aligned(self.bits)

    @in_default_environment
    def real_table(self) -> NDArray[np.float64]:
        """2**-c for every code but the last."""
        powers = np.ldexp(1.0, -np.arange(self.code_count))
        powers[-1] = 0.0
        return powers

    def _encode(self, x: NDArray[Any]) -> Codes:
        """Codes by comparison with powers of two, exact in any type."""
        x = code_arrays.finite(x)
        mantissa, exponent = np.frexp(np.maximum(x, 0))  # x = mantissa * 2**exponent, mantissa in [1/2, 1)
        # -log2(x) = -exponent - log2(mantissa), whose last term is in (0, 1], and above 1/2 if mantissa < sqrt(1/2).
        # The float64 nearest to that root lies above it, so that no float is between the two.
        up = mantissa == 0.5 if self.rounding == RoundingMode.TOWARD_ZERO else mantissa < np.float64(math.sqrt(0.5))
        nearest = np.clip(up - exponent.astype(np.int64), 0, self.code_count - 1)
        return np.asarray(np.where(x > 0, nearest, self.code_count - 1)).astype(np.uint8)


@lru_cache
def _aligned(bits: int) -> NDArray[np.int64]:
    last = (1 << bits) - 1
    table = np.array([1 << (last - 1 - code) for code in range(last)] + [0], np.int64)
    return seal(table)
