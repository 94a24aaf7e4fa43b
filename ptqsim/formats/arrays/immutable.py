"""Objects that cannot be changed after construction, not even through the arrays that they were made from.

NumPy's flag `writeable` is not enough: an array that owns its memory can be made writeable again, and a view that was
taken before the flag was cleared can still write. The base of a sealed array is an object that NumPy refuses to write
to.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ptqsim.common.validation import checked_type


class _Memory:
    """The base of a sealed array. It exports its memory read-only, so no array on it can be made writeable."""

    __slots__ = ("__array_interface__", "_owner")

    def __init__(self, owner: NDArray[Any]) -> None:
        self._owner = owner
        interface = owner.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], True)}


_SMALL = 1 << 16
"""Size in bytes below which copying is faster than wrapping."""


def seal(array: NDArray[Any]) -> NDArray[Any]:
    """Seal an array, without a copy if it is large. The caller must not keep a reference to it."""
    return _copied(array) if array.nbytes < _SMALL else np.asarray(_Memory(array))


def _copied(array: NDArray[Any]) -> NDArray[Any]:
    return np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape)


def is_sealed(array: object) -> bool:
    """True if an array lies in memory that nobody can write to: that of `seal`, or of a bytes object."""
    memory = array
    while isinstance(memory, np.ndarray):
        if memory.flags.writeable:
            return False
        memory = memory.base
    return type(memory) in (_Memory, bytes)


def sealed(array: NDArray[Any]) -> NDArray[Any]:
    """The array itself if it is sealed, else a sealed copy."""
    return array if type(array) is np.ndarray and is_sealed(array) else _copied(array)


Frozen = TypeVar("Frozen", bound="Constructed")


def reconstructed(given: Frozen) -> Frozen:
    """A copy of a frozen dataclass, made by its constructor, to be compared with the given one later.

    `object.__setattr__` can change the given object, but the copy is internal. Equal objects share one copy, as making
    one takes longer than a small product.
    """
    try:
        made: Frozen = _reconstructed(given)
    except TypeError:  # a field that cannot be hashed is for the constructor to refuse
        made = _replaced(given)
    return made if made == given else _replaced(given)  # a key of the cache may have been changed as well


def checked_anew(what: str, given: object, kind: type[Frozen], advice: str = "") -> Frozen:
    """A copy by `reconstructed` of what was given, if it is an instance of `kind`; else an `ArgumentTypeError`."""
    return reconstructed(checked_type(what, given, kind, advice))


def _replaced(given: Frozen) -> Frozen:
    return dataclasses.replace(given)  # type: ignore[type-var]


_reconstructed = lru_cache(maxsize=256)(_replaced)


class Constructed:
    """A frozen dataclass whose copies and pickles are made by its constructor, which checks and seals what it takes."""

    __slots__ = ()

    def __reduce__(self) -> tuple[type[Any], tuple[Any, ...]]:
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return type(self), tuple(getattr(self, field.name) for field in fields)


def reader_of(given: Constructed) -> Callable[[Any], tuple[Any, ...]]:
    """A function that reads the class and every field of objects like the given one, those of its fields included.

    What it reads is equal if the objects are. Comparing a tuple that was read before takes a fraction of the time that
    the comparison of two dataclasses does. Objects of another class may lack a field, which is an AttributeError.
    """
    cls: Any = type(given)
    return _reader(cls, tuple(type(value) for value in _values(cls)(given)), given)


_readers: dict[tuple[type, tuple[type, ...]], Callable[[Any], tuple[Any, ...]]] = {}


def _reader(cls: type, types: tuple[type, ...], given: Constructed) -> Callable[[Any], tuple[Any, ...]]:
    """The reader of a class whose fields have values of these types; finding the fields takes longer than reading."""
    found = _readers.get((cls, types))
    if found is None:
        found = _readers[cls, types] = attrgetter(*_paths(given, ""))
    return found


_MEMORY = "base", "shape", "strides", "dtype"
_memory = attrgetter(*_MEMORY)


def comparable(given: Constructed) -> tuple[Any, ...]:
    """The class and all fields of an object, to be compared and hashed; of a sealed array its bytes and its layout.

    Arrays that this package seals lie in a bytes object, whose hash is computed once.
    """
    values: tuple[Any, ...] = _values(type(given))(given)  # type: ignore[arg-type]  # a class
    return tuple(_memory(value) if isinstance(value, np.ndarray) else value for value in values)


@cache
def _values(cls: type) -> Callable[[Any], tuple[Any, ...]]:
    names = [field.name for field in dataclasses.fields(cls)]
    return attrgetter(*names, "__class__")  # of one name alone it would be no tuple


def _paths(given: Constructed, prefix: str) -> Iterator[str]:
    yield f"{prefix}__class__"
    for field in dataclasses.fields(given):  # type: ignore[arg-type]
        value, path = getattr(given, field.name), f"{prefix}{field.name}"
        if isinstance(value, Constructed):
            yield from _paths(value, f"{path}.")
        elif isinstance(value, np.ndarray):
            yield from (f"{path}.{name}" for name in _MEMORY)
        else:
            yield path
