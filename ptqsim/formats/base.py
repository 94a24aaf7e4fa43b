"""The interface of number formats."""

from __future__ import annotations

import dataclasses
import math
import sys
from abc import ABC, abstractmethod
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.formats.arrays import channels
from ptqsim.formats.arrays import codes as code_arrays
from ptqsim.formats.arrays.grid_range import GridRange as GridRange
from ptqsim.formats.arrays.grid_range import sum_of_ranges as sum_of_ranges
from ptqsim.formats.arrays.immutable import Constructed, reconstructed, seal
from ptqsim.formats.fields import plain
from ptqsim.formats.fields import written_fields as written_fields
from ptqsim.kernels.runtime.environment import in_default_environment

Codes: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]

_LARGEST_FLOAT32: Final = float(np.finfo(np.float32).max)


class NumberFormat(Constructed, ABC):
    """The meaning of the codes of an array: immutable data from which everything else is derived.

    Every format is a frozen dataclass with at least the properties below. `encode` turns reals into codes, `decode`
    turns codes into reals, and `align` turns codes into integers on the format's finest grid.
    """

    __slots__ = ()

    kind: ClassVar[str]
    """Name under which the format is written to files."""

    later_fields: ClassVar[frozenset[str]] = frozenset()
    """Fields that are written only where they are not the default: files from before them have the same bytes."""

    if TYPE_CHECKING:

        @property
        def bits(self) -> int:
            """Width k of a code, as the papers count it."""

        @property
        def scale(self) -> float:
            """The free factor of all values, and `step` unless the format says otherwise."""

        @property
        def shift(self) -> int:
            """Alignment exponent m between the two ranges; 0 for a format with one range."""

    @property
    def zero_point(self) -> int:
        """The integer whose code stands for 0, which is subtracted from that of every code; 0 if there is none."""
        return 0

    @property
    def axis(self) -> int | None:
        """The axis of the codes that the scale varies along, -1 (columns) or -2 (rows); None for one scale."""
        return None

    @property
    def steps(self) -> Any:
        """`step`, shaped to broadcast against the codes: a float, or an array where it varies along an axis."""
        return self.step

    def unscaled(self) -> NumberFormat:
        """A format of one scale whose codes have the same aligned values: this one, unless its scale is a vector."""
        return self

    def check_shape(self, what: str, shape: tuple[int, ...]) -> None:
        """Refuse the shape of codes or reals that has not one place along `axis` for each scale."""
        if self.axis is not None:
            channels.check_shape(what, shape, self.steps.reshape(-1), self.axis)

    @property
    def shift_alignable(self) -> bool:
        """True if codes are integers on one grid, up to a shift, so that a datapath can multiply and add them."""
        return True

    @property
    def storage_bits(self) -> int:
        """Bits that one code takes in memory."""
        return self.bits

    @property
    def code_dtype(self) -> np.dtype[np.uint8] | np.dtype[np.uint16]:
        """Type of the codes in an array: uint8 up to 8 bits, uint16 above."""
        return code_arrays.dtype_for(self.storage_bits)

    @property
    def code_count(self) -> int:
        """Number of codes, redundant ones included."""
        return 1 << self.storage_bits

    @property
    def step(self) -> float:
        """Step of the finest grid: real = aligned * step. It is `scale`, but for formats that say otherwise."""
        return self.scale

    @abstractmethod
    def ranges(self) -> tuple[GridRange, ...]:
        """The ranges that an aligned value is put together from.

        Raises
        ------
        ValueError
            If the format is not shift-alignable.
        """

    @in_default_environment
    def encode(self, real: ArrayLike) -> Codes:
        """Codes of the values that the format rounds to, in the shape of `real`.

        Division and rounding are done in the type of `real` if that is float32 or float64. Every float16 is a float32
        and is treated as one; integers and booleans are treated as float64.

        Raises
        ------
        ValueError
            If a value is NaN or infinite (the message says how many are, and where the first is), if `real` is not a
            real number type of at most 64 bits, or if the scale does not fit the type of `real`.
        """
        return reconstructed(self)._encode(code_arrays.as_reals(real))

    @abstractmethod
    def _encode(self, x: NDArray[Any]) -> Codes:
        """Codes of reals in the type in which they are rounded."""

    @in_default_environment
    def fake_quantize(self, real: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """The reals that the codes of `real` stand for, in the type that it is rounded in.

        Every value is that of ``decode(encode(real))``, rounded to that type: float32 for float32 and float16, float64
        for everything else.

        Parameters
        ----------
        real : array_like
            As for `encode`.
        out : ndarray, optional
            Array to put them into: C-contiguous, of the shape of `real` and the type that it is rounded in. It may be
            `real` itself.

        Raises
        ------
        ValueError
            As for `encode`; also if `out` does not fit, or if a value is rounded to one that is infinite in its type.
        """
        x = code_arrays.as_reals(real)
        return reconstructed(self)._fake_quantize(x, code_arrays.room(x, out))

    def _fake_quantize(self, x: NDArray[Any], rounded: NDArray[Any]) -> NDArray[Any]:
        """`rounded`, filled with what the codes of `x` stand for."""
        # Compiled for the type that networks have; every type takes time to compile.
        rounder = self._rounder(x.dtype) if x.dtype == np.float32 else None
        if rounder is None:
            with np.errstate(over="ignore"):
                np.copyto(rounded, self.decode(self._encode(x)), casting="same_kind")
            return code_arrays.representable(rounded)
        code_arrays.run(rounder.kernel, code_arrays.apart(x, rounded), rounder.constants, rounded)
        return rounded if rounder.largest <= _LARGEST_FLOAT32 else code_arrays.representable(rounded)

    def _rounder(self, dtype: np.dtype[Any]) -> code_arrays.Rounder | None:
        """Kernel that gives the reals of codes without the codes, for reals of that type; None if there is none."""
        return None

    @abstractmethod
    def aligned_table(self) -> NDArray[np.int64]:
        """The aligned value of every code, redundant codes included; read-only.

        Raises
        ------
        ValueError
            If the format is not shift-alignable.
        """

    @property
    def aligned_min(self) -> int:
        """Least aligned value of any code."""
        return int(self.aligned_table().min())

    @property
    def aligned_max(self) -> int:
        """Greatest aligned value of any code."""
        return int(self.aligned_table().max())

    @property
    def real_min(self) -> float:
        """Least value of any code."""
        return float(self.real_table().min())

    @property
    def real_max(self) -> float:
        """Greatest value of any code."""
        return float(self.real_table().max())

    def align(self, codes: ArrayLike) -> NDArray[np.int64]:
        """Aligned integers of `codes`, in their shape: real = aligned * step.

        Raises
        ------
        ValueError
            If a code is not an integer from 0 to 2**storage_bits - 1, or stands for infinity or NaN.
        """
        checked = reconstructed(self)
        table, found = checked.aligned_table(), code_arrays.checked(codes, checked.storage_bits)
        checked.check_numbers(found)
        return code_arrays.look_up(found, table)

    def is_number(self, codes: NDArray[Any]) -> NDArray[np.bool]:
        """True for every code that stands for a number; all do, but for formats that say otherwise."""
        return np.ones(codes.shape, np.bool)

    def check_numbers(self, codes: NDArray[Any], what: str = "codes") -> None:
        """Refuse codes that stand for no number, with a ValueError that counts them and names the first.

        Parameters
        ----------
        codes : ndarray
            Codes of this format.
        what : str, optional
            What the message calls them.
        """

    @in_default_environment
    def decode(self, codes: ArrayLike) -> NDArray[np.float64]:
        """Reals of `codes`, in their shape: aligned * step, rounded once to float64.

        Raises
        ------
        ValueError
            If a code is not an integer from 0 to 2**storage_bits - 1.
        """
        checked = reconstructed(self)
        array = code_arrays.checked(codes, checked.storage_bits)
        if checked.axis is None:
            return code_arrays.look_up(array, _real_table(checked))
        checked.check_shape("codes", array.shape)
        return np.asarray(code_arrays.look_up(array, checked.aligned_table()) * checked.steps)

    @in_default_environment
    def real_table(self) -> NDArray[np.float64]:
        """The real value of every code, redundant codes included."""
        return self.aligned_table() * np.float64(self.step)

    def to_dict(self) -> dict[str, Any]:
        """The format as plain data: its kind and its fields. `ptqsim.formats.from_dict` is the way back."""
        fields = {field.name: getattr(self, field.name) for field in written_fields(self)}
        return {"kind": self.kind} | {name: plain(v) for name, v in fields.items()}

    def short(self) -> str:
        """The format in few characters: fields that differ from their defaults, numbers to three digits."""
        shown = []
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                shown.append(f"{field.name}={channels.described(value)}")
            elif value != field.default:
                shown.append(f"{field.name}={value:.3g}" if isinstance(value, float) else f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"

    def with_scale(self, scale: float | NDArray[Any]) -> Self:
        """The same format with another scale, or other scales along the same axis.

        Raises
        ------
        ValueError
            If the scale is no field of this format but follows from others, or is not finite and positive.
        """
        if "scale" not in {field.name for field in dataclasses.fields(self)}:  # type: ignore[arg-type]
            raise ValueError(f"the scale of {type(self).__name__} follows from its other fields and cannot be set")
        return dataclasses.replace(self, scale=scale)  # type: ignore[type-var]


@lru_cache(maxsize=32)
def _real_table(number_format: NumberFormat) -> NDArray[np.float64]:
    return seal(number_format.real_table())


def check_largest(number_format: NumberFormat, largest: float) -> None:
    """Refuse a format whose largest code stands for more than float64 holds, with a ValueError."""
    if not math.isfinite(largest):
        raise ValueError(
            f"the largest code of {number_format} stands for more than {sys.float_info.max:.3g}, the largest float64; "
            "give a smaller scale"
        )
