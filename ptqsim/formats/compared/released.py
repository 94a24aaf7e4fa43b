"""PTQ4ViT's released code where it differs from the paper; for comparison only.

Three facts separate it from the format of the paper. Its fake-quantizer quantizes every value in both ranges, clamped
to each, and adds the two, where Eq. 4 chooses one: after softmax that moves values at or above the split up by the
split, and values below it up by the split rounded to the coarse grid. Its scales are free: 1 / (2**(k-1) - 1) for the
coarse softmax range, and any positive scale after GELU, so that no shift aligns the two ranges of Eq. 5. And its export
adds 2**(k-1) to the sum of both magnitudes, so that every code says R2 and none can be decoded.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

import numpy as np
from numpy.typing import NDArray

from ptqsim.common.validation import checked_bits, checked_scale
from ptqsim.formats.arrays import codes as code_arrays
from ptqsim.formats.base import Codes, check_largest
from ptqsim.formats.compared.unaligned import Unaligned


class _Released(Unaligned):
    """Both ranges quantized and added, and every exported code flagged as R2."""

    __slots__ = ()

    @property
    def _top(self) -> int:
        return (1 << (self.bits - 1)) - 1

    @abstractmethod
    def _magnitudes(self, x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Rounded magnitudes in R1 and R2, in the type of x."""

    @abstractmethod
    def _fake_quantize(self, x: NDArray[Any], rounded: NDArray[Any]) -> NDArray[Any]:
        """The released fake-quantizer, in the type and shape of `x`: the sum of both clamped and rounded ranges."""

    def _encode(self, x: NDArray[Any]) -> Codes:
        """The codes that the released code exports: 2**(k-1) + both magnitudes, in k bits that wrap around."""
        first, second = self._magnitudes(code_arrays.finite(x))
        exported = (1 << (self.bits - 1)) + first.astype(np.int64) + second.astype(np.int64)
        dtype: Any = self.code_dtype
        return np.asarray(exported & (self.code_count - 1), dtype)

    def real_table(self) -> NDArray[np.float64]:
        """Refused: exported codes do not say which range they came from."""
        raise ValueError(
            f"codes of {type(self).__name__} cannot be decoded: the released export adds 2**{self.bits - 1} to all of "
            "them, so that the range is lost; use fake_quantize for its real values"
        )

    def _refuse(self) -> NoReturn:
        raise ValueError(
            f"{type(self).__name__} follows the released code, whose two scales are no power of two apart, whose "
            "ranges are added instead of chosen and whose export loses the flag: no shift aligns it. Use TwinSoftmax "
            "or TwinGELU, the formats of the paper"
        )


@dataclass(frozen=True, slots=True)
class ReleasedTwinSoftmax(_Released):
    """The released code's quantizer for values after softmax.

    Parameters
    ----------
    bits : int
        Width k, 2 to 16.
    split : float
        Where the coarse range starts, finite and positive, up to 1.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    kind: ClassVar[str] = "released_twin_softmax"

    bits: int
    split: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "bits", checked_bits(self.bits))
        object.__setattr__(self, "split", checked_scale(self.split, "split"))
        if self.split > 1:
            raise ValueError(f"split must be at most 1, the largest value after softmax, got {self.split!r}")

    @property
    def scale(self) -> float:
        """Scale of the fine range, split / (2**(k-1) - 1). That of the coarse range is 1 / (2**(k-1) - 1)."""
        return self.split / self._top

    def _fake_quantize(self, x: NDArray[Any], rounded: NDArray[Any]) -> NDArray[Any]:
        """The sum of both ranges; see the class above."""
        first, second = self._magnitudes(code_arrays.finite(x))
        np.add(second / x.dtype.type(self._top), first * x.dtype.type(self.scale), out=rounded)
        return rounded

    def _magnitudes(self, x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        kind = x.dtype.type
        split, top = kind(self.split), kind(self._top)
        first = np.rint(np.clip(x, kind(0), split) / code_arrays.in_type(x.dtype, self.scale))
        second = np.rint(np.clip(x, split, kind(1)) * top)
        return np.clip(first, kind(0), top), np.clip(second, kind(0), top)


@dataclass(frozen=True, slots=True)
class ReleasedTwinGELU(_Released):
    """The released code's quantizer for values after GELU. Each range holds one sign, so adding them chooses one.

    Parameters
    ----------
    bits : int
        Width k, 2 to 16.
    scale : float
        Scale of the negative range, finite and positive; the released code fixes 0.16997124254703522 / 2**(k-1).
    positive_scale : float
        Scale of the positive range, finite and positive, and free of the other.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    kind: ClassVar[str] = "released_twin_gelu"

    bits: int
    scale: float
    positive_scale: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "bits", checked_bits(self.bits))
        object.__setattr__(self, "scale", checked_scale(self.scale))
        object.__setattr__(self, "positive_scale", checked_scale(self.positive_scale, "positive_scale"))
        check_largest(self, max((self._top + 1) * self.scale, self._top * self.positive_scale))

    def _fake_quantize(self, x: NDArray[Any], rounded: NDArray[Any]) -> NDArray[Any]:
        """The sum of both ranges; see the class above."""
        first, second = self._magnitudes(code_arrays.finite(x))
        with np.errstate(over="ignore"):
            np.subtract(second * x.dtype.type(self.positive_scale), first * x.dtype.type(self.scale), out=rounded)
        return code_arrays.representable(rounded)

    def _magnitudes(self, x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        kind = x.dtype.type
        with np.errstate(over="ignore"):
            first = np.rint(-x / code_arrays.in_type(x.dtype, self.scale))
            second = np.rint(x / code_arrays.in_type(x.dtype, self.positive_scale, "positive_scale"))
        # the negative range has one step more, as in two's complement
        return np.clip(first, kind(0), kind(self._top + 1)), np.clip(second, kind(0), kind(self._top))
