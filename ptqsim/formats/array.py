"""Codes together with the format that says what they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.formats import codes as code_arrays
from ptqsim.formats.base import NumberFormat
from ptqsim.formats.immutable import Constructed, seal, sealed
from ptqsim.formats.packing import pack, unpack


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class QuantizedArray(Constructed):
    """An array of codes and their format.

    Parameters
    ----------
    codes
        Unsigned integers below ``2**format.storage_bits``, of any shape. They are copied unless they are those of
        another `QuantizedArray` or in a bytes object, so that nobody can write to them: what is known of an array, such
        as the bounds of its rows, stays true for as long as it lives. Copying or unpickling an array keeps that.
    format
        What they stand for.

    Raises
    ------
    ValueError
        If a code does not fit the format.
    """

    codes: NDArray[Any]
    format: NumberFormat

    def __post_init__(self) -> None:
        if not isinstance(self.format, NumberFormat):
            raise ValueError(f"format must be a ptqsim number format such as Uniform, got {self.format!r}")
        checked = code_arrays.checked(self.codes, self.format.storage_bits)
        object.__setattr__(self, "codes", sealed(checked))

    def __copy__(self) -> QuantizedArray:
        return self

    def __deepcopy__(self, memo: object) -> QuantizedArray:
        return self

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the codes."""
        return self.codes.shape

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return self.codes.ndim

    @property
    def size(self) -> int:
        """Number of codes."""
        return self.codes.size

    def real(self) -> NDArray[np.float64]:
        """The real values, float64."""
        return self.format.decode(self.codes)

    def aligned(self) -> NDArray[np.int64]:
        """The integers on the format's finest grid: real = aligned * format.scale."""
        return self.format.align(self.codes)

    def pack(self) -> bytes:
        """The codes, bit-packed in C order."""
        return pack(self.codes, self.format.storage_bits)

    @classmethod
    def from_packed(cls, data: bytes, number_format: NumberFormat, shape: int | Sequence[int]) -> QuantizedArray:
        """The inverse of `pack`.

        Raises
        ------
        ValueError
            If the length of `data` is not what the format and `shape` need.
        """
        return cls(unpack(data, number_format.storage_bits, shape), number_format)

    def reshape(self, *shape: int) -> QuantizedArray:
        """The same codes in another shape."""
        return QuantizedArray(self.codes.reshape(*shape), self.format)

    def swapaxes(self, first: int, second: int) -> QuantizedArray:
        """The same codes with two axes exchanged."""
        return QuantizedArray(self.codes.swapaxes(first, second), self.format)

    def __getitem__(self, index: Any) -> QuantizedArray:
        return QuantizedArray(self.codes[index], self.format)


def quantize(real: ArrayLike, number_format: NumberFormat) -> QuantizedArray:
    """Encode reals in a format: ``QuantizedArray(number_format.encode(real), number_format)``.

    Raises
    ------
    ValueError
        If a value is NaN or infinite, or the scale of the format does not fit the type of `real`.
    """
    return QuantizedArray(seal(number_format.encode(real)), number_format)  # nobody else has the codes: no copy
