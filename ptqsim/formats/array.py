"""Codes together with the format that says what they stand for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ptqsim.common.validation import checked_type
from ptqsim.errors import ArgumentTypeError
from ptqsim.formats.arrays import channels
from ptqsim.formats.arrays import codes as code_arrays
from ptqsim.formats.arrays.immutable import Constructed, reconstructed, seal, sealed
from ptqsim.formats.arrays.packing import pack, unpack
from ptqsim.formats.base import NumberFormat

if TYPE_CHECKING:
    from ptqsim.gemm.results.result import MatmulResult


@dataclass(frozen=True, slots=True, eq=False, repr=False, weakref_slot=True)
class QuantizedArray(Constructed):
    """An array of codes and their format.

    Parameters
    ----------
    codes : array_like
        Unsigned integers below ``2**format.storage_bits``, of any shape. They are read-only and cannot be changed by
        anyone: they are copied unless they come from another `QuantizedArray` or lie in a bytes object. So facts that
        are kept about an array, such as the bounds of its rows, stay true, also after copying and pickling.
    format : NumberFormat
        The format, which defines what the codes stand for.

    Raises
    ------
    TypeError
        If the codes are no integers, or the format is no number format.
    ValueError
        If a code does not fit the format.

    Notes
    -----
    The class follows NumPy where codes are only moved: `shape`, `ndim`, `size`, ``len``, iteration, indexing, `T`,
    `transpose`, `swapaxes` and `reshape` give the same codes in another arrangement, in the same format.

    ``np.asarray(q)`` gives the real values in float64, as `dequantize` does. Arithmetic and NumPy's universal functions
    are refused, as their result would have no format; ``a @ b`` is the exact product of `ptqsim.matmul`.

    ``a == b`` is one bool: True if both have the same format, the same shape and the same codes. Two codes may stand
    for the same real; to compare reals elementwise, compare ``a.dequantize() == b.dequantize()``. Equal arrays have
    equal hashes, and as codes and format never change, an array can be a key of a dict or a member of a set.
    """

    codes: NDArray[Any]
    format: NumberFormat

    def __post_init__(self) -> None:
        if not isinstance(self.format, NumberFormat):
            raise ArgumentTypeError(f"format must be a ptqsim number format such as Uniform, got {self.format!r}")
        checked_format = reconstructed(self.format)
        checked = code_arrays.checked(self.codes, checked_format.storage_bits)
        checked_format.check_shape("codes", checked.shape)
        object.__setattr__(self, "codes", sealed(checked))

    def __copy__(self) -> QuantizedArray:
        return self

    def __deepcopy__(self, memo: object) -> QuantizedArray:
        return self

    def __repr__(self) -> str:
        return f"QuantizedArray(shape={self.shape}, format={self.format.short()})"

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

    def __len__(self) -> int:
        """Size of the first axis."""
        if not self.ndim:
            raise ArgumentTypeError("an array of shape () has no length; size gives its number of codes, 1")
        return len(self.codes)

    def __iter__(self) -> Iterator[QuantizedArray]:
        """Iterate over the first axis."""
        return (self[index] for index in range(len(self)))

    def __bool__(self) -> bool:
        raise ValueError("an array of codes has no truth value; ask for len(q), or compare q.dequantize() or q.codes")

    def __eq__(self, other: object) -> bool:
        """True if the other array has the same format, shape and codes."""
        if not isinstance(other, QuantizedArray):
            return NotImplemented
        return self is other or (self.format == other.format and np.array_equal(self.codes, other.codes))

    def __hash__(self) -> int:
        """Hash of format, shape and codes; it reads them all."""
        return hash((self.format, self.shape, self.codes.tobytes()))

    def dequantize(self) -> NDArray[np.float64]:
        """The real values, float64: ``format.decode(codes)``."""
        return self.format.decode(self.codes)

    def real(self) -> NDArray[np.float64]:
        """Alias of `dequantize`."""
        return self.dequantize()

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """The real values for ``np.asarray``: float64, or cast from it to `dtype`.

        Raises
        ------
        ValueError
            If `copy` is False: the array holds codes, so that its reals are always a new array.
        """
        if copy is False:
            raise ValueError("the reals of a QuantizedArray are always a new array; leave copy at None, or take .codes")
        reals = self.dequantize()
        return reals if dtype is None else reals.astype(dtype, copy=False)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> NoReturn:
        """Refuse NumPy's universal functions: codes have no arithmetic of their own."""
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        raise ArgumentTypeError(
            f"np.{name} takes no QuantizedArray, as its result would have no format; use q.dequantize() for the real "
            "values, q.aligned() for the integers, or a @ b for the product of two quantized arrays"
        )

    def __matmul__(self, other: object) -> MatmulResult:
        """The exact product, as `ptqsim.matmul` gives it on an accumulator that cannot overflow."""
        if not isinstance(other, QuantizedArray):
            return NotImplemented
        return _product[0](self, other)

    def aligned(self) -> NDArray[np.int64]:
        """The integers on the format's finest grid: real = aligned * format.steps."""
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

    @property
    def T(self) -> QuantizedArray:  # noqa: N802 - NumPy's name
        """The same codes with the axes in reverse."""
        return self.transpose()

    def transpose(self, *axes: Any) -> QuantizedArray:
        """The same codes with the axes in another order, by default in reverse; as `numpy.ndarray.transpose`."""
        return self._moved(lambda codes: codes.transpose(*axes))

    def reshape(self, *shape: SupportsIndex | Sequence[SupportsIndex]) -> QuantizedArray:
        """The same codes in another shape, in C order; the sizes one by one or as a sequence."""
        sizes: Any = shape
        return self._moved(lambda codes: codes.reshape(*sizes))

    def swapaxes(self, first: int, second: int) -> QuantizedArray:
        """The same codes with two axes exchanged."""
        return self._moved(lambda codes: codes.swapaxes(first, second))

    def __getitem__(self, index: Any) -> QuantizedArray:
        return self._moved(lambda codes: np.asarray(codes[index]))

    def _moved(self, move: Callable[[NDArray[Any]], NDArray[Any]]) -> QuantizedArray:
        """The codes in another arrangement; scales along an axis move with them."""
        codes, number_format = move(self.codes), self.format
        if number_format.axis is not None:
            kept, axis = channels.moved(self.shape, number_format.axis, move)
            scales = number_format.steps.reshape(-1)[kept]
            number_format = dataclasses.replace(  # type: ignore[type-var]
                number_format, scale=float(scales[0]) if axis is None else scales, axis=axis
            )
        return QuantizedArray(codes, number_format)


_product: list[Callable[[QuantizedArray, QuantizedArray], MatmulResult]] = []


def set_product(product: Callable[[QuantizedArray, QuantizedArray], MatmulResult]) -> None:
    """Set the function behind ``a @ b``. It lies in a layer above, which this one does not import."""
    _product[:] = [product]


def quantize(real: ArrayLike, number_format: NumberFormat) -> QuantizedArray:
    """Encode reals in a format: ``QuantizedArray(number_format.encode(real), number_format)``.

    Parameters
    ----------
    real : array_like
        Real numbers, of any shape.
    number_format : NumberFormat
        The format.

    Returns
    -------
    QuantizedArray

    Raises
    ------
    TypeError
        If `real` holds no real numbers, or `number_format` is no number format.
    ValueError
        If a value is NaN or infinite, or the scale of the format does not fit the type of `real`.
    """
    checked_type("number_format", number_format, NumberFormat, "such as ptqsim.Uniform(bits=8, scale=0.02)")
    return QuantizedArray(seal(number_format.encode(real)), number_format)  # the codes are new, so they need no copy


def encoded(codes: NDArray[Any], number_format: NumberFormat) -> QuantizedArray:
    """An array of codes that a format of this package has just made, for searches, which make very many.

    The format gives no others than fit it, so they are not examined, as `quantize` does, which takes formats of users
    too. Nobody else has the codes, so they are not copied.
    """
    array = object.__new__(QuantizedArray)
    object.__setattr__(array, "codes", seal(codes))
    object.__setattr__(array, "format", number_format)
    return array
