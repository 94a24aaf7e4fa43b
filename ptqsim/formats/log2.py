"""Logarithmic quantization: powers of two, or of a root of two."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from ptqsim.common.validation import checked_bits, checked_integer
from ptqsim.formats.arrays import codes as code_arrays
from ptqsim.formats.arrays.immutable import seal
from ptqsim.formats.base import Codes, GridRange, NumberFormat, written_fields
from ptqsim.formats.rounding import RoundingMode
from ptqsim.kernels.runtime.environment import in_default_environment

MAX_BITS = 8
"""Above this the smallest power of two is no float64 any more."""

MAX_ALIGNED_BITS = 48
"""Widest aligned values of a datapath, as of twin codes: float64 holds them exactly."""

ROOTS: Final = (1, 2, 4)
MIN_FRACTION_BITS, MAX_FRACTION_BITS, DEFAULT_FRACTION_BITS = 3, 16, 8

_DOUBLE_BITS = 53


@dataclass(frozen=True, slots=True, repr=False)
class Log2(NumberFormat):
    """Powers of 2**(1/q) for values in [0, 1]: code c stands for about 2**(-c/q), the largest code for zero.

    A product with such a value is one with an integer of T + 1 bits and a shift: c div q is the shift, and c mod q
    chooses F(r) = round(2**T * 2**(-r/q)), so that the code stands for F(c mod q) * 2**(-T - c div q). With q = 1 it is
    a shift alone, and the value 2**-c is exact; otherwise it differs from 2**(-c/q) by less than 2**-T of it. On the
    finest grid, whose step is 2**-(S+T) with S = (2**k - 2) div q, a code is the integer F(c mod q) << (S - c div q).
    Codes whose integers fit 48 bits can be accumulated like any other.

    Parameters
    ----------
    bits : int
        Width k of a code, 2 to 8.
    rounding : RoundingMode or str
        A `RoundingMode`, or its name, for -q * log2(x). No float is halfway between two powers on the logarithmic
        scale, so the three modes that round to nearest agree; ``toward_zero`` takes the larger power. Values below zero
        are taken as zero, and so are values nearer to the next power below the smallest one.
    root : int
        Which root of 2 the base is, q: 1, 2 or 4.
    fraction_bits : int, optional
        Bits T of the fractions, 3 to 16, by default 8. With root 1 it is 0, and may not be given otherwise.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is out of its range.

    Notes
    -----
    Sources: RepQ-ViT (Li et al., ICCV 2023), section 3.3, for the base 2**(1/2); AdaLog (Wu et al., ECCV 2024) for
    other bases and the table of fractions.
    """

    kind: ClassVar[str] = "log2"
    later_fields: ClassVar[frozenset[str]] = frozenset({"root", "fraction_bits"})

    bits: int
    rounding: RoundingMode = RoundingMode.HALF_EVEN
    root: int = 1
    fraction_bits: int = 0

    # Written out, because it takes more types than the fields have.
    def __init__(
        self,
        bits: int,
        rounding: RoundingMode | str = RoundingMode.HALF_EVEN,
        root: int = 1,
        fraction_bits: int | None = None,
    ) -> None:
        object.__setattr__(self, "bits", checked_bits(bits, MAX_BITS))
        object.__setattr__(self, "rounding", RoundingMode.of(rounding))
        object.__setattr__(self, "root", _checked_root(root))
        object.__setattr__(self, "fraction_bits", _checked_fraction_bits(fraction_bits, self.root))

    def __repr__(self) -> str:
        shown = (field.name for field in written_fields(self))
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    @property
    def greatest_shift(self) -> int:
        """Shift S of the smallest power that has a code: (2**k - 2) div q."""
        return (self.code_count - 2) // self.root

    @property
    def fractions(self) -> tuple[int, ...]:
        """The integers F(0) .. F(q - 1): 2**T * 2**(-r/q), rounded."""
        return _fractions(self.root, self.fraction_bits)

    @property
    def scale(self) -> float:
        """Step of the finest grid, 2**-(S+T); with root 1 the smallest power of two that has a code."""
        return 2.0 ** -(self.greatest_shift + self.fraction_bits)

    @property
    def shift(self) -> int:
        """0: there is one range."""
        return 0

    @property
    def aligned_bits(self) -> int:
        """Bits of the largest aligned value, which stands for 1."""
        return self.greatest_shift + self.fraction_bits + 1

    @property
    def shift_alignable(self) -> bool:
        """True if aligned values have up to 48 bits; with root 1 that holds for codes of up to 5 bits."""
        return self.aligned_bits <= MAX_ALIGNED_BITS

    def ranges(self) -> tuple[GridRange, ...]:
        """The one range, which is not shifted."""
        return (GridRange(0, self.aligned_table()),)

    def aligned_table(self) -> NDArray[np.int64]:
        """The shifted fraction of every code."""
        if not self.shift_alignable:
            legal = (
                "Log2 of up to 5 bits" if self.root == 1 else f"up to {MAX_ALIGNED_BITS}: lower bits or fraction_bits"
            )
            raise ValueError(
                f"aligned values of {self.short()} would take {self.aligned_bits} bits; a datapath takes {legal}"
            )
        return _aligned(self.bits, self.root, self.fraction_bits)

    @in_default_environment
    def real_table(self) -> NDArray[np.float64]:
        """Fraction and shift of every code as a real, zero for the last."""
        shift, remainder = np.divmod(np.arange(self.code_count), self.root)
        reals: NDArray[np.float64] = np.ldexp(
            np.array(self.fractions, np.float64)[remainder], -shift - self.fraction_bits
        )
        reals[-1] = 0.0
        return reals

    def _encode(self, x: NDArray[Any]) -> Codes:
        """Codes by comparison of mantissas with thresholds, exact in any type."""
        x = code_arrays.finite(x)
        mantissa, exponent = np.frexp(np.maximum(x, 0))  # x = mantissa * 2**exponent, mantissa in [1/2, 1)
        # -q * log2(x) = -q * exponent - q * log2(mantissa), whose last term is in (0, q] and rounds to the number of
        # thresholds that the mantissa is below.
        up = np.zeros(x.shape, np.int64)
        for threshold in _thresholds(self.root, self.rounding == RoundingMode.TOWARD_ZERO):
            up += mantissa < threshold
        last = self.code_count - 1
        nearest = np.clip(up - self.root * exponent.astype(np.int64), 0, last)
        return np.asarray(np.where(x > 0, nearest, last)).astype(np.uint8)


def _checked_root(root: object) -> int:
    checked = checked_integer("root", root, ROOTS[0], ROOTS[-1])
    if checked not in ROOTS:
        raise ValueError(f"root must be 1, 2 or 4, got {root}: the base is 2, its square root or its fourth root")
    return checked


def _checked_fraction_bits(fraction_bits: object, root: int) -> int:
    if root == 1:
        if fraction_bits is not None and checked_integer("fraction_bits", fraction_bits, 0, MAX_FRACTION_BITS):
            raise ValueError(
                f"powers of two have no fractions, got fraction_bits={fraction_bits}; leave it out, or take root=2"
            )
        return 0
    if fraction_bits is None:
        return DEFAULT_FRACTION_BITS
    return checked_integer("fraction_bits", fraction_bits, MIN_FRACTION_BITS, MAX_FRACTION_BITS)


def root_below(power: int, degree: int, bits: int) -> int:
    """The floor of 2**bits * 2**(-power/degree), in integers.

    Parameters
    ----------
    power, degree : int
        Numerator and denominator of the exponent.
    bits : int
        Bits that the result is scaled by.
    """
    target, low, high = 1 << (bits * degree - power), 0, 1 << (bits + 1)  # low**degree <= target < high**degree
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**degree <= target else (low, middle)
    return low


@lru_cache
def _fractions(root: int, fraction_bits: int) -> tuple[int, ...]:
    # Those after the first are irrational: the half that is added to round is never reached exactly.
    return tuple((root_below(r, root, fraction_bits + 1) + 1) >> 1 for r in range(root))


@lru_cache
def _thresholds(root: int, toward_zero: bool) -> tuple[np.float64, ...]:
    """Float64s that a mantissa is below exactly if it is below, or for 1/2 equal to, the threshold that is meant."""
    if toward_zero:
        powers = [(j, root) for j in range(1, root)]
        last = [np.nextafter(np.float64(0.5), np.float64(1))]
    else:
        powers, last = [(2 * j + 1, 2 * root) for j in range(root)], []
    return (*(np.float64(root_below(*power, _DOUBLE_BITS) + 1) * 2.0**-_DOUBLE_BITS for power in powers), *last)


@lru_cache
def _aligned(bits: int, root: int, fraction_bits: int) -> NDArray[np.int64]:
    last, fractions = (1 << bits) - 1, _fractions(root, fraction_bits)
    greatest = (last - 1) // root
    table = [fractions[code % root] << (greatest - code // root) for code in range(last)]
    return seal(np.array([*table, 0], np.int64))
