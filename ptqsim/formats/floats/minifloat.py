"""Small floating-point formats: sign, exponent and fraction."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from ptqsim.common.choice import Choice
from ptqsim.common.validation import MAX_BITS, checked_integer, checked_scale
from ptqsim.errors import ArgumentTypeError
from ptqsim.formats.arrays import codes as code_arrays
from ptqsim.formats.arrays.codes import KernelConstants
from ptqsim.formats.arrays.immutable import seal
from ptqsim.formats.base import Codes, GridRange, NumberFormat, check_largest
from ptqsim.kernels.codes import minifloat as kernels
from ptqsim.kernels.runtime.environment import in_default_environment

MAX_EXPONENT_BITS: Final = 8
"""As many as float32 has."""

MAX_BIAS: Final = 256
"""Largest magnitude of a bias: every value is then a float64, far from the ends of its range."""

MAX_ALIGNED_BITS: Final = 48
"""Widest aligned values of a datapath, without their sign, as of twin codes: float64 holds them exactly."""

_DOUBLE_FRACTION_BITS, _DOUBLE_BIAS = 52, 1023


class SpecialValues(Choice):
    """Codes of a small float that are no numbers.

    ``none``: none of them. ``fn``: the code of all ones is NaN, with either sign, and there is no infinity ("finite and
    NaN"). ``ieee``: as in IEEE 754, the greatest exponent field has infinity (fraction 0) and NaN (any other).
    """

    NONE = "none"
    FN = "fn"
    IEEE = "ieee"


@dataclass(frozen=True, slots=True)
class Minifloat(NumberFormat):
    """Small floating-point format: a sign, an exponent field e of E bits and a fraction f of M bits.

    The code is sign * 2**(E+M) + e * 2**M + f. It stands for significand * 2**(max(e, 1) - bias - M) * scale, with the
    significand 2**M + f, or f if e = 0. Its aligned value, significand << (max(e, 1) - 1) with the sign, is an integer
    on the grid of the subnormal numbers, whose `step` is 2**(1 - bias - M) * scale.

    Parameters
    ----------
    exponent_bits : int
        E, 1 to 8.
    mantissa_bits : int
        M, 0 or more; a code has 1 + E + M bits, 2 to 16.
    bias : int, optional
        Exponent of 1 as a field, -256 to 256; by default 2**(E-1) - 1.
    special : SpecialValues or str
        A `SpecialValues`, or its name: "none", "fn" or "ieee". With "ieee" E is at least 2 and M at least 1, with "fn"
        E + M is at least 2.
    scale : float
        Factor of all values, finite and positive.
    saturate : bool
        True if values that round to more than the largest number, and infinity, become the largest number. Otherwise
        they become infinity, or NaN with "fn", and "none" is refused.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is out of its range, or the format has values that are no normal float64.

    Notes
    -----
    Rounding is half to even (to the even code, if M = 0). A zero keeps its sign, which `decode` gives back.

    Sources: OCP 8-bit Floating Point Specification (OFP8) 1.0, sections 4 and 5 (E5M2 and E4M3; saturation); OCP
    Microscaling Formats (MX) 1.0, section 5.3 (E3M2, E2M3 and E2M1).
    """

    kind: ClassVar[str] = "minifloat"

    exponent_bits: int
    mantissa_bits: int
    bias: int
    special: SpecialValues = SpecialValues.NONE
    scale: float = 1.0
    saturate: bool = True

    # Written out, because it takes more types than the fields have.
    def __init__(
        self,
        exponent_bits: int,
        mantissa_bits: int,
        bias: int | None = None,
        special: SpecialValues | str = SpecialValues.NONE,
        scale: float = 1.0,
        saturate: bool = True,
    ) -> None:
        e = checked_integer("exponent_bits", exponent_bits, 1, MAX_EXPONENT_BITS)
        advice = "a code has a sign, the exponent and the mantissa, 2 to 16 bits together"
        m = checked_integer("mantissa_bits", mantissa_bits, 0, MAX_BITS - 1 - e, advice)
        given = (1 << (e - 1)) - 1 if bias is None else checked_integer("bias", bias, -MAX_BIAS, MAX_BIAS)
        for name, value in (("exponent_bits", e), ("mantissa_bits", m), ("bias", given)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "special", SpecialValues.of(special))
        object.__setattr__(self, "scale", checked_scale(scale))
        if not isinstance(saturate, bool | np.bool):
            raise ArgumentTypeError(f"saturate must be True or False, got {saturate!r}")
        object.__setattr__(self, "saturate", bool(saturate))
        self._check()

    def _check(self) -> None:
        """Refuse combinations of parameters that make no format."""
        if self.special == SpecialValues.IEEE and (self.exponent_bits < 2 or not self.mantissa_bits):
            raise ValueError(
                f"{self.name} with special='ieee' has no code left for NaN or for a normal number; legal are "
                "exponent_bits of 2 and more and mantissa_bits of 1 and more: try special='none'"
            )
        if self.special == SpecialValues.FN and self.bits < 3:
            raise ValueError(f"{self.name} has no number but zero; try special='none', or another bit")
        if self.special == SpecialValues.NONE and not self.saturate:
            raise ValueError(
                f"{self.name} has no code for what is beyond its largest number, so saturate=False is not legal; "
                "try special='ieee' or 'fn'"
            )
        check_largest(self, self.real_max)
        if not self.step >= sys.float_info.min:
            raise ValueError(
                f"the step of {self} is {self.step!r}, and legal is a normal float64, from {sys.float_info.min:.3g}; "
                "give a greater scale"
            )

    @property
    def name(self) -> str:
        """Name in the manner of OCP, with "fn" if NaN is the only code that is no number: "E4M3fn", "E2M1"."""
        suffix = "fn" if self.special == SpecialValues.FN else ""
        return f"E{self.exponent_bits}M{self.mantissa_bits}{suffix}"

    @property
    def bits(self) -> int:
        """Width of a code: 1 + E + M."""
        return 1 + self.exponent_bits + self.mantissa_bits

    @property
    def shift(self) -> int:
        """0: there is one range."""
        return 0

    @property
    def step(self) -> float:
        """Step of the finest grid, the least positive value: scale * 2**(1 - bias - M)."""
        return self.scale * 2.0 ** (1 - self.bias - self.mantissa_bits)

    @property
    def real_min(self) -> float:
        """The negative of `real_max`."""
        return -self.real_max

    @property
    def real_max(self) -> float:
        """The largest number."""
        field, fraction = divmod(self.largest_code, 1 << self.mantissa_bits)
        significand = fraction + (1 << self.mantissa_bits if field else 0)
        return math.ldexp(significand, max(field, 1) - self.bias - self.mantissa_bits) * self.scale

    @property
    def largest_code(self) -> int:
        """Code of the largest number."""
        magnitudes = 1 << (self.exponent_bits + self.mantissa_bits)
        special = {SpecialValues.NONE: 0, SpecialValues.FN: 1, SpecialValues.IEEE: 1 << self.mantissa_bits}
        return magnitudes - special[self.special] - 1

    @property
    def aligned_bits(self) -> int:
        """Bits of the largest aligned value, without its sign."""
        field, fraction = divmod(self.largest_code, 1 << self.mantissa_bits)
        return (fraction + (1 << self.mantissa_bits if field else 0)).bit_length() + max(field, 1) - 1

    @property
    def shift_alignable(self) -> bool:
        """True if aligned values have up to 48 bits, which holds for up to 5 exponent bits."""
        return self.aligned_bits <= MAX_ALIGNED_BITS

    def is_number(self, codes: NDArray[Any]) -> NDArray[np.bool]:
        """True for every code that stands for a number, False for infinity and NaN."""
        return np.asarray((codes & (self.code_count // 2 - 1)) <= self.largest_code)

    def ranges(self) -> tuple[GridRange, ...]:
        """The one range, which is not shifted."""
        return (GridRange(0, self.aligned_table()),)

    def aligned_table(self) -> NDArray[np.int64]:
        """Significand of every code, with its shift and sign; 0 for infinity and NaN, which `align` refuses."""
        if not self.shift_alignable:
            raise ValueError(
                f"aligned values of {self.name} take {self.aligned_bits} bits and their sign, and a datapath takes up "
                f"to {MAX_ALIGNED_BITS}; take fewer exponent bits: up to 5 of them fit"
            )
        return _aligned(self.exponent_bits, self.mantissa_bits, self.largest_code)

    @in_default_environment
    def real_table(self) -> NDArray[np.float64]:
        """The real value of every code: also -0.0, infinity and NaN."""
        field, significand, sign = _parts(self.exponent_bits, self.mantissa_bits)
        exponent = np.maximum(field, 1) - self.bias - self.mantissa_bits
        reals = np.ldexp(significand.astype(np.float64), exponent) * self.scale
        beyond = ~self.is_number(np.arange(self.code_count))
        infinite = beyond & (significand == 1 << self.mantissa_bits) & (self.special == SpecialValues.IEEE)
        reals[beyond] = np.nan
        reals[infinite] = np.inf
        signed: NDArray[np.float64] = np.copysign(reals, sign)
        return signed

    def check_numbers(self, codes: NDArray[Any], what: str = "codes") -> None:
        """Refuse infinity and NaN."""
        if self.special == SpecialValues.NONE:
            return
        wrong = ~self.is_number(codes)
        if wrong.any():
            first = tuple(int(i) for i in np.argwhere(wrong)[0])
            code = int(codes[first])
            raise ValueError(
                f"{int(wrong.sum())} of {codes.size} {what} {'is' if wrong.sum() == 1 else 'are'} infinity or NaN in "
                f"{self.name}, the first is {code:#04x} ({float(self.decode(code)):g}) at index {first}; they have no "
                "aligned value: look for what overflowed, or encode with saturate=True"
            )

    def _encode(self, x: NDArray[Any]) -> Codes:
        """Codes by rounding half to even, with the sign of zeros."""
        return code_arrays.encode(kernels.encode_minifloat, x, self.bits, _constants(self, x.dtype))

    def _fake_quantize(self, x: NDArray[Any], rounded: NDArray[Any]) -> NDArray[Any]:
        grid, special = _constants(self, x.dtype)
        constants = (grid, _table(self, x.dtype)), special
        source = code_arrays.apart(x, rounded)
        if self.real_max > float(np.finfo(x.dtype).max):
            numbers = self.is_number(self._encode(source))
            code_arrays.run(kernels.round_minifloat, source, constants, rounded)
            code_arrays.representable(rounded[numbers])
            return rounded
        return code_arrays.run(kernels.round_minifloat, source, constants, rounded)


@lru_cache(maxsize=1024)
def _constants(fmt: Minifloat, dtype: np.dtype[Any]) -> KernelConstants:
    """Grid and special codes, as `ptqsim.kernels.codes.minifloat` takes them."""
    m, top = fmt.mantissa_bits, fmt.largest_code
    drop, base = _DOUBLE_FRACTION_BITS - m, (_DOUBLE_BIAS - fmt.bias) << m
    least, per_step = 2.0 ** (1 - fmt.bias), 2.0 ** (m - 1 + fmt.bias)
    quiet = top + 1 + ((1 << (m - 1)) if fmt.special == SpecialValues.IEEE else 0)
    beyond = top if fmt.saturate else top + 1  # infinity, or the NaN of "fn"
    refused = fmt.special == SpecialValues.NONE
    grid = (code_arrays.in_type(dtype, fmt.scale), np.int64(drop), np.int64(base), least, per_step, np.int64(top))
    return grid, (np.int64(fmt.code_count // 2), np.int64(beyond), np.int64(quiet), refused)


@lru_cache(maxsize=64)
def _table(fmt: Minifloat, dtype: np.dtype[Any]) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        return seal(fmt.real_table().astype(dtype))


def _parts(exponent_bits: int, mantissa_bits: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Exponent field, significand and sign (1 or -1) of every code."""
    codes = np.arange(1 << (1 + exponent_bits + mantissa_bits))
    field = (codes >> mantissa_bits) & ((1 << exponent_bits) - 1)
    fraction = codes & ((1 << mantissa_bits) - 1)
    sign = np.where(codes >> (exponent_bits + mantissa_bits), -1, 1)
    return field, np.where(field, fraction + (1 << mantissa_bits), fraction), sign


@lru_cache
def _aligned(exponent_bits: int, mantissa_bits: int, largest_code: int) -> NDArray[np.int64]:
    field, significand, sign = _parts(exponent_bits, mantissa_bits)
    magnitudes = np.arange(len(field)) & (len(field) // 2 - 1)
    aligned = sign * (significand << (np.maximum(field, 1) - 1))
    return seal(np.where(magnitudes <= largest_code, aligned, 0))
