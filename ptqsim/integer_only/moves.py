"""Rearrangements of one image's array: nothing is computed, so that any of them is a table of indices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Reshape:
    """The same values in C order in another shape."""

    kind: ClassVar[str] = "reshape"
    shape: tuple[int, ...]

    def __call__(self, x: NDArray[Any]) -> NDArray[Any]:
        """The rearranged array; axis 0 is that of the images."""
        return x.reshape(len(x), *self.shape)


@dataclass(frozen=True)
class Transpose:
    """Axes in another order."""

    kind: ClassVar[str] = "transpose"
    axes: tuple[int, ...]

    def __call__(self, x: NDArray[Any]) -> NDArray[Any]:
        """The rearranged array; axis 0 is that of the images."""
        return x.transpose(0, *(axis + 1 for axis in self.axes))


@dataclass(frozen=True)
class Take:
    """Indices `start` to `stop`, excluded, of an axis."""

    kind: ClassVar[str] = "take"
    axis: int
    start: int
    stop: int

    def __call__(self, x: NDArray[Any]) -> NDArray[Any]:
        """The rearranged array; axis 0 is that of the images."""
        return x[(slice(None),) * (self.axis + 1) + (slice(self.start, self.stop),)]


@dataclass(frozen=True)
class Roll:
    """Every index of an axis raised by `shift`, around the end."""

    kind: ClassVar[str] = "roll"
    axis: int
    shift: int

    def __call__(self, x: NDArray[Any]) -> NDArray[Any]:
        """The rearranged array; axis 0 is that of the images."""
        return np.roll(x, self.shift, self.axis + 1)


@dataclass(frozen=True)
class Pad:
    """`count` zeros in front of an axis of integers: accumulators of tokens that have no patch."""

    kind: ClassVar[str] = "pad"
    axis: int
    count: int

    def __call__(self, x: NDArray[Any]) -> NDArray[Any]:
        """The rearranged array; axis 0 is that of the images."""
        shape = list(x.shape)
        shape[self.axis + 1] = self.count
        return np.concatenate([np.zeros(shape, x.dtype), x], self.axis + 1)


Rearrangement: TypeAlias = Reshape | Transpose | Take | Roll | Pad
KINDS: dict[str, Any] = {one.kind: one for one in (Reshape, Transpose, Take, Roll, Pad)}


def moved(x: NDArray[Any], moves: Iterable[Rearrangement]) -> NDArray[Any]:
    """Images [B, ...] after one rearrangement after the other."""
    for move in moves:
        x = move(x)
    return x


def table_of(shape: tuple[int, ...], moves: Iterable[Rearrangement]) -> NDArray[np.int64]:
    """The index in C order from which every value comes; -1 for a zero.

    Parameters
    ----------
    shape : tuple of int
        Shape of one image's array before.
    moves : iterable of rearrangements
        What is done to it, in this order.
    """
    places = np.arange(1, int(np.prod(shape)) + 1, dtype=np.int64).reshape(1, *shape)
    return np.ascontiguousarray(moved(places, moves)[0]) - 1


def move_to_plain(move: Rearrangement) -> dict[str, Any]:
    """A rearrangement as plain data."""
    fields = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(move).items()}
    return {"kind": move.kind} | fields


def move_from_plain(data: Mapping[str, Any]) -> Rearrangement:
    """The rearrangement that `move_to_plain` wrote."""
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
    made: Rearrangement = KINDS[str(fields.pop("kind"))](**fields)
    return made
