"""A cache by object, not by value: equal arrays have entries of their own, and none is hashed to find its entry."""

from __future__ import annotations

from typing import Generic, TypeVar
from weakref import ReferenceType, ref

Key = TypeVar("Key")
Value = TypeVar("Value")


class WeakIdentityDict(Generic[Key, Value]):
    """Values of objects that can be referenced weakly; a value goes with its object."""

    def __init__(self) -> None:
        self._entries: dict[int, tuple[ReferenceType[Key], Value]] = {}

    def get(self, key: Key) -> Value | None:
        """The value of this very object, or None."""
        entry = self._entries.get(id(key))
        return entry[1] if entry is not None and entry[0]() is key else None

    def __setitem__(self, key: Key, value: Value) -> None:
        number = id(key)

        def forget(reference: ReferenceType[Key]) -> None:
            entry = self._entries.get(number)
            if entry is not None and entry[0] is reference:  # the number may be that of another object by now
                del self._entries[number]

        self._entries[number] = ref(key, forget), value

    def __len__(self) -> int:
        return len(self._entries)
