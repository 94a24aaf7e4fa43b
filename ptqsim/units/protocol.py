"""The interface of integer units: what every formulation of every unit has.

A unit takes integers and gives codes. It is a frozen dataclass of integer constants; a reference in Python integers
defines what it computes, with a name for every intermediate value, and a kernel equals the reference.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.common.validation import checked_integer
from ptqsim.errors import ArgumentTypeError
from ptqsim.formats.arrays.given import as_integers
from ptqsim.formats.arrays.immutable import Constructed
from ptqsim.formats.base import Codes, NumberFormat
from ptqsim.kernels.runtime import threads
from ptqsim.units import vectors
from ptqsim.units.interval import Interval, signed_interval

Trace: TypeAlias = dict[str, int | list[int]]
"""Every named value on the way from one row of inputs to its codes, in the order of computation; the last is `code`."""

MAX_INPUT_BITS: Final = 48
MAX_LENGTH: Final = 1 << 20


class Input(NamedTuple):
    """One input of a unit: its name, and the signed bits of its integers."""

    name: str
    bits: int


class Unit(Constructed, ABC):
    """A unit between two matrix products, in integers.

    Every unit is a frozen dataclass with at least the members below. An input is an integer array whose last axis is a
    row: the channels, or the tokens that a softmax runs over. All inputs have one shape, which is also that of the
    codes.
    """

    kind: ClassVar[str]
    """Name of the formulation, in files and on the command line."""

    source: ClassVar[str]
    """Paper, section and equation of the formulation."""

    if TYPE_CHECKING:

        @property
        def out_format(self) -> NumberFormat:
            """Format of the codes."""

    def _set(self, **fields: Any) -> None:
        """Set fields while the unit is constructed, as they are after their checks."""
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def to_dict(self) -> dict[str, Any]:
        """The unit as plain data: its kind and its fields. `ptqsim.units.from_dict` is the way back."""
        return {"kind": self.kind} | _plain_fields(self)

    @property
    @abstractmethod
    def inputs(self) -> tuple[Input, ...]:
        """Names and widths of the inputs, in the order in which a call takes them."""

    @property
    def channels(self) -> int | None:
        """Length that a row has to have; None if the constants are those of a whole tensor."""
        return None

    @property
    def longest(self) -> int:
        """Greatest length of a row."""
        return MAX_LENGTH

    @abstractmethod
    def widths(self) -> dict[str, Interval]:
        """The integers that every named value can be, for every input of the stated widths.

        It is a theorem: no input makes a value leave its interval. The names are those of `trace`.
        """

    @abstractmethod
    def _trace(self, *rows: Sequence[int]) -> Trace:
        """The reference for one row of every input."""

    @abstractmethod
    def _run(self, rows: tuple[NDArray[np.int64], ...], codes: NDArray[Any]) -> None:
        """Fill `codes` [R, n] from the inputs [R, n] by a kernel."""

    def _vector(self, n: int) -> vectors.Vector | None:
        """The kernel of vector code for rows of n values, if the widths prove that it gives the same codes."""
        return None

    def vector(self, n: int) -> vectors.Vector | None:
        """The kernel of vector code for rows of n values, made once; None if there is none."""
        key = "vector", n
        if key not in self._arrays:
            narrow = all(one.bits <= vectors.INPUT_BITS for one in self.inputs)
            self._arrays[key] = self._vector(n) if narrow else None
        return self._arrays[key]  # type: ignore[no-any-return]

    def __call__(self, *inputs: ArrayLike) -> Codes:
        """Codes of the inputs.

        Parameters
        ----------
        *inputs : array_like of integers, shape (..., n)
            As `inputs` names them, all of one shape.

        Returns
        -------
        uint8 or uint16 array of shape (..., n)
            Codes of `out_format`.

        Raises
        ------
        TypeError
            If an input is not integer, or there are more or fewer of them than the unit takes.
        ValueError
            If shapes differ, a row has a length that the unit does not take, or an integer exceeds the stated width.
        """
        rows, shape = self._rows(inputs)
        return self.unchecked(rows).reshape(shape)

    def unchecked(self, rows: tuple[NDArray[np.int64], ...]) -> Codes:
        """Codes of contiguous rows [R, n] whose integers are proven to be within the stated widths: nothing is checked.

        Parameters
        ----------
        rows : tuple of int64 arrays of shape (R, n)
            One for each input.
        """
        dtype: Any = self.out_format.code_dtype
        codes: Any = np.empty(rows[0].shape, dtype)
        if codes.size:
            call = None
            if self.vector(codes.shape[-1]) is not None:
                narrow = [row.astype(np.int32) for row in rows]
                call = vectors.bound([self], narrow, [vectors.PLAIN] * len(rows), codes)
            if call is None:
                self._run(rows, codes)
            else:
                call()
        return codes  # type: ignore[no-any-return]

    def trace(self, *inputs: ArrayLike) -> dict[str, NDArray[np.int64]]:
        """Every named value by the reference, in the order of computation.

        Parameters
        ----------
        *inputs : array_like of integers, shape (..., n)
            As for a call.

        Returns
        -------
        dict of int64 arrays
            Of shape (...) for values of a row, such as a sum, and of shape (..., n) for those of an element.
        """
        rows, shape = self._rows(inputs)
        if not rows[0].size:
            raise ValueError(f"inputs of shape {shape} have no values to trace; give at least one row of one value")
        traces = [self._trace(*row) for row in zip(*(one.tolist() for one in rows), strict=True)]
        found = {}
        for name in traces[0]:
            values = np.array([trace[name] for trace in traces], np.int64)
            found[name] = values.reshape((*shape[:-1], *values.shape[1:]))
        return found

    def reference(self, *inputs: ArrayLike) -> Codes:
        """Codes by the reference: what a call has to equal."""
        dtype: Any = self.out_format.code_dtype
        return self.trace(*inputs)["code"].astype(dtype)

    def _rows(self, inputs: tuple[ArrayLike, ...]) -> tuple[tuple[NDArray[np.int64], ...], tuple[int, ...]]:
        if len(inputs) != len(self.inputs):
            names = ", ".join(one.name for one in self.inputs)
            raise ArgumentTypeError(
                f"{type(self).__name__} takes {len(self.inputs)} inputs ({names}), got {len(inputs)}"
            )
        arrays = [_checked(one, given) for one, given in zip(self.inputs, inputs, strict=True)]
        shape = arrays[0].shape
        if any(array.shape != shape for array in arrays):
            listed = ", ".join(f"{one.name} {array.shape}" for one, array in zip(self.inputs, arrays, strict=True))
            raise ValueError(f"the inputs of {type(self).__name__} must have one shape, got {listed}")
        if not shape:
            raise ValueError(f"{self.inputs[0].name} must have at least one axis, whose last is a row; got one number")
        if self.channels is not None and shape[-1] != self.channels:
            raise ValueError(
                f"{type(self).__name__} has constants for {self.channels} channels, got rows of {shape[-1]}; the last "
                "axis must be the channels"
            )
        if shape[-1] > self.longest:
            raise ValueError(
                f"{type(self).__name__} takes rows of up to {self.longest} values, got {shape[-1]}; its widths are "
                "proven for that length, so make the unit for longer rows"
            )
        size = arrays[0].size
        count = size // shape[-1] if size else 0
        return tuple(np.ascontiguousarray(array).reshape(count, shape[-1]) for array in arrays), shape

    @cached_property
    def _arrays(self) -> dict[Any, Any]:
        """Constants as arrays, for `_constant`."""
        return {}

    def _constant(self, name: str, values: Sequence[int], count: int) -> NDArray[np.int64]:
        """An int64 array of constants, one per value of a row; made once."""
        found = self._arrays.get((name, count))
        if found is None:
            found = np.array(values, np.int64)
            found = found if len(found) == count else np.full(count, found[0])
            self._arrays[name, count] = found
        return found


def _plain_fields(given: Any) -> dict[str, Any]:
    return {field.name: _plain(getattr(given, field.name)) for field in dataclasses.fields(given)}


def _plain(value: Any) -> Any:
    """A field as numbers, strings, lists and dicts."""
    if isinstance(value, NumberFormat | Unit):
        return value.to_dict()
    if isinstance(value, tuple):
        return list(value)
    if dataclasses.is_dataclass(value):
        return _plain_fields(value)
    return str(value) if isinstance(value, str) else value


def checked_input_bits(name: str, bits: object) -> int:
    """The stated signed width of an input, 2 to 48."""
    return checked_integer(name, bits, 2, MAX_INPUT_BITS)


def _checked(one: Input, given: ArrayLike) -> NDArray[np.int64]:
    array = as_integers(one.name, given, f"integers of {one.bits} signed bits")
    legal = signed_interval(one.bits)
    if array.size and (int(array.min()) < legal.lowest or int(array.max()) > legal.highest):
        wrong = (array < legal.lowest) | (array > legal.highest)
        first = tuple(int(index) for index in np.argwhere(wrong)[0])
        raise ValueError(
            f"{one.name} has {int(array[first])} at index {first}, outside {legal.lowest} .. {legal.highest}, the "
            f"{one.bits} bits that the unit is made for ({int(wrong.sum())} of {array.size} values are outside); "
            "state a wider input"
        )
    return array.astype(np.int64, copy=False)


def run_rows(kernel: Any, rows: NDArray[np.int64], *args: object) -> None:
    """Run a kernel over rows [R, n]; the result does not depend on the number of threads."""
    threads.run(kernel, len(rows), max(1, threads.GRAIN // rows.shape[1]), *args)
