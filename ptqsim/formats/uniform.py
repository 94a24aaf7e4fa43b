"""Uniform quantization: one grid, symmetric or with a zero point."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.common.validation import checked_bits, checked_bool, checked_integer, checked_scale
from ptqsim.formats.arrays import channels
from ptqsim.formats.arrays import codes as code_arrays
from ptqsim.formats.arrays.codes import KernelConstants, Rounder
from ptqsim.formats.arrays.immutable import comparable, seal
from ptqsim.formats.base import Codes, GridRange, NumberFormat, check_largest, written_fields
from ptqsim.formats.rounding import TIES, RoundingMode
from ptqsim.kernels.codes import codec, grid


@dataclass(frozen=True, slots=True)
class Uniform(NumberFormat):
    """Uniform format (PTQ4ViT, Eq. 2): aligned = clamp(round(x / scale), low - zero_point, high - zero_point).

    The code is aligned + zero_point, in two's complement of k bits if `signed`, else in plain binary. That integer lies
    in the code range low .. high: -2**(k-1) .. 2**(k-1) - 1 if signed, else 0 .. 2**k - 1. By default the format is
    symmetric: signed, with a zero point of 0.

    Parameters
    ----------
    bits : int
        Width k of a code, 2 to 16.
    scale : float or array_like
        The step, finite and positive; with `axis` a vector of them. It is copied; what the format has is read-only.
    rounding : RoundingMode or str
        A `RoundingMode`, or its name. x / scale is rounded before the zero point is added.
    signed : bool
        Whether a code is two's complement.
    zero_point : int
        The integer whose code stands for 0, in the code range; the same for all channels.
    axis : int, optional
        The axis of the codes that the scales run along, counted from the end: -1 for a scale per column, -2 per row.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is out of its range.
    """

    kind: ClassVar[str] = "uniform"
    later_fields: ClassVar[frozenset[str]] = frozenset({"signed", "zero_point", "axis"})

    bits: int
    scale: Any
    rounding: RoundingMode = RoundingMode.HALF_EVEN
    signed: bool = True
    zero_point: int = 0
    axis: int | None = None

    # Written out, because it takes more types than the fields have.
    def __init__(
        self,
        bits: int,
        scale: ArrayLike,
        rounding: RoundingMode | str = RoundingMode.HALF_EVEN,
        signed: bool = True,
        zero_point: int = 0,
        axis: int | None = None,
    ) -> None:
        object.__setattr__(self, "bits", checked_bits(bits))
        object.__setattr__(self, "axis", None if axis is None else channels.checked_axis(axis))
        object.__setattr__(
            self, "scale", checked_scale(scale) if self.axis is None else channels.checked_scales(scale, self.axis)
        )
        object.__setattr__(self, "rounding", RoundingMode.of(rounding))
        object.__setattr__(self, "signed", checked_bool("signed", signed))
        object.__setattr__(self, "zero_point", _checked_zero_point(zero_point, self))
        check_largest(self, self._largest)

    # Written out, because arrays have no equality of their own.
    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return comparable(self) == comparable(other)

    def __hash__(self) -> int:
        return hash(comparable(self))

    def __repr__(self) -> str:
        shown = ((field.name, getattr(self, field.name)) for field in written_fields(self))
        texts = (
            f"{name}={channels.listed(value) if isinstance(value, np.ndarray) else repr(value)}"
            for name, value in shown
        )
        return f"{type(self).__qualname__}({', '.join(texts)})"

    @property
    def code_range(self) -> tuple[int, int]:
        """Least and greatest integer that a code is, before the zero point is subtracted."""
        return (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1) if self.signed else (0, (1 << self.bits) - 1)

    @property
    def aligned_min(self) -> int:
        """Least aligned value of any code."""
        return self.code_range[0] - self.zero_point

    @property
    def aligned_max(self) -> int:
        """Greatest aligned value of any code."""
        return self.code_range[1] - self.zero_point

    @property
    def steps(self) -> Any:
        """The scale, shaped to broadcast against the codes: a float, [columns] or [rows, 1]."""
        return self.scale if self.axis is None else channels.broadcast(self.scale, self.axis)

    def unscaled(self) -> NumberFormat:
        """A format of one scale whose codes have the same aligned values."""
        return self if self.axis is None else replace(self, scale=1.0, axis=None)

    def real_table(self) -> NDArray[np.float64]:
        """The real value of every code; with scales along an axis one row for each."""
        return np.asarray(np.multiply.outer(self.scale, self.aligned_table()))

    @property
    def _largest(self) -> float:
        largest = self.scale if self.axis is None else float(self.scale.max())
        return max(-self.aligned_min, self.aligned_max) * largest

    @property
    def shift(self) -> int:
        """0: there is one range."""
        return 0

    def ranges(self) -> tuple[GridRange, ...]:
        """The one range, which is not shifted."""
        return _ranges(self.bits, self.signed, self.zero_point)

    def aligned_table(self) -> NDArray[np.int64]:
        """The integer of every code, less the zero point."""
        return _ranges(self.bits, self.signed, self.zero_point)[0].mantissa

    def _encode(self, x: NDArray[Any]) -> Codes:
        """Codes by Eq. 2."""
        if self.axis is not None:
            return self._encode_channels(x)
        limits, rounding = _constants(self, x.dtype)
        mask = np.int32((1 << self.bits) - 1)
        if not self.zero_point:
            return code_arrays.encode(codec.encode_uniform, x, self.bits, ((*limits, mask), rounding))
        grid = (*limits, np.int32(self.zero_point), mask)
        return code_arrays.encode(codec.encode_with_zero_point, x, self.bits, (grid, rounding))

    def _encode_channels(self, x: NDArray[Any]) -> Codes:
        """The same, every channel by its own scale."""
        self.check_shape("reals", x.shape)
        for extreme in (self.scale.min(), self.scale.max()):
            code_arrays.in_type(x.dtype, float(extreme))
        with np.errstate(over="ignore", under="ignore"):
            rounded = self.rounding.of_reals(code_arrays.finite(x) / self.steps.astype(x.dtype))
        integers = np.clip(rounded, self.aligned_min, self.aligned_max, out=rounded).astype(np.int32) + self.zero_point
        return (integers & ((1 << self.bits) - 1)).astype(self.code_dtype)  # type: ignore[return-value]

    def _rounder(self, dtype: np.dtype[Any]) -> Rounder | None:
        return _rounder(self, dtype) if self.axis is None else None


@lru_cache(maxsize=1024)
def _rounder(uniform: Uniform, dtype: np.dtype[Any]) -> Rounder:
    limits, rounding = _constants(uniform, dtype)
    constants = (*limits, code_arrays.step_in_type(dtype, uniform.scale)), rounding
    return Rounder(grid.round_uniform, constants, uniform._largest)


@lru_cache(maxsize=1024)
def _constants(uniform: Uniform, dtype: np.dtype[Any]) -> KernelConstants:
    """Scale and limits of Eq. 2, which are integers below 2**16 and exact in every float type; and the rounding."""
    ties = TIES[uniform.rounding]
    limits = dtype.type(uniform.aligned_min), dtype.type(uniform.aligned_max)
    return (code_arrays.in_type(dtype, uniform.scale), *limits), ties.of_kernels(dtype)


@lru_cache
def _ranges(bits: int, signed: bool, zero_point: int) -> tuple[GridRange, ...]:
    codes = np.arange(1 << bits)
    integers = np.where(codes >> (bits - 1), codes - (1 << bits), codes) if signed else codes
    return (GridRange(0, seal(integers - zero_point)),)


def _checked_zero_point(zero_point: object, uniform: Uniform) -> int:
    what = f"the zero point of {'a signed' if uniform.signed else 'an unsigned'} code of {uniform.bits} bits"
    advice = "it is the integer whose code stands for 0, so it must be one that a code can be"
    return checked_integer(what, zero_point, *uniform.code_range, advice)
