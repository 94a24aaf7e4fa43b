"""Objects that stay as their constructor left them, whoever else has the memory that they were made from.

numpy's flag `writeable` alone promises nothing: an array that owns its memory can be made writeable again, and a view
that was taken before the flag was cleared still writes. A sealed array has a base that numpy refuses to write to.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ptqsim.validation import checked_type


class _Memory:
    """The base of a sealed array. It exports its memory read-only, so no array on it can be made writeable."""

    __slots__ = ("__array_interface__", "_owner")

    def __init__(self, owner: NDArray[Any]) -> None:
        self._owner = owner
        interface = owner.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], True)}


_SMALL = 1 << 16
"""Bytes that are copied sooner than they are handed on."""


def seal(array: NDArray[Any]) -> NDArray[Any]:
    """An array of these values that nobody can write to, not copied if large. Give it only what nobody else has."""
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
    """A frozen dataclass equal to the given one and made by its constructor, for whoever compares with it later.

    `object.__setattr__` can change the given one; the copy is handed to nobody who would. Equal ones share it, as
    making one takes longer than a small product.
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
