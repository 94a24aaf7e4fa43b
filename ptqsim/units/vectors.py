"""Kernels of vector code for units: where their rows lie, and the constants that they take.

They serve inputs of up to 32 bits and targets whose codes follow from one rounding and a clamp, where the widths of the
unit prove that no numerator leaves a word (docs/kernels.md). Everything else runs in the kernels of every target.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ptqsim.formats.base import NumberFormat
from ptqsim.formats.uniform import Uniform
from ptqsim.kernels.runtime import threads
from ptqsim.units.interval import Interval

if TYPE_CHECKING:
    from ptqsim.units.protocol import Unit

INPUT_BITS: Final = 32
"""Greatest width of an input."""

LARGEST: Final = (1 << 62) - 1
"""Greatest magnitude of a numerator: what is added to it for rounding then fits a word of 64 bits, too."""

PLAIN: Final = (0, 0)
"""Rule of integers that stand for themselves."""

Rule = tuple[int, int]
"""Flip and less: a code c stands for (c ^ flip) - less."""


class Vector(NamedTuple):
    """A kernel, and its constants; the first axis of each counts units, here one.

    As many of its inputs, from the first on, as `coded` says can be codes; the others are integers that stand for
    themselves.
    """

    kernel: Callable[..., int]
    constants: tuple[NDArray[Any], ...]
    coded: int = 0


class _Shape(NamedTuple):
    """Sizes and strides of the axes before the last of several arrays, where no two can be one."""

    sizes: list[int]
    strides: list[list[int]]


def rule_of(number_format: NumberFormat) -> Rule | None:
    """The rule from codes to integers in units of the format's step; None for formats that have none."""
    if not isinstance(number_format, Uniform):
        return None
    half = 1 << (number_format.bits - 1) if number_format.signed else 0
    return half, half + number_format.zero_point


def row_of(values: Sequence[int], n: int) -> NDArray[np.int64] | None:
    """Constants [1, n] of a row, one given or as many as values; None if one is too large."""
    if max(map(abs, values)) > LARGEST:
        return None
    return np.broadcast_to(np.array(values, np.int64), (1, n)).copy()


def limits_of(target: Uniform, shift: int) -> NDArray[np.int64]:
    """Shift, least and greatest value, zero point, and mask of the codes of a uniform format, [1, 5]."""
    mask = (1 << target.bits) - 1
    return np.array([[shift, target.aligned_min, target.aligned_max, target.zero_point, mask]], np.int64)


def on_one_shift(mantissa: Sequence[int], shift: Sequence[int], biased: Interval) -> tuple[list[int], int] | None:
    """The same factors with one shift that is not negative; None if a product is too large then."""
    common = max(0, *shift)
    factors = [m << (common - s) for m, s in zip(mantissa, shift, strict=True)]
    reach = max(-biased.lowest, biased.highest) * max(map(abs, factors)) + (1 << common)
    return (factors, common) if reach <= LARGEST else None


def half_of(shift: int) -> int:
    """The half that rounds a shift to the right."""
    return (1 << shift) >> 1


def bound(
    units: Sequence[Unit], inputs: Sequence[NDArray[Any]], rules: Sequence[Rule], codes: NDArray[Any]
) -> Callable[[], object] | None:
    """A call that fills `codes` from arrays, whatever they hold when it is called.

    Parameters
    ----------
    units : sequence of Unit
        One, or one for each index of axis 1.
    inputs : sequence of int32, uint8 or uint16 arrays [B, ..., n]
        Their integers, or what the codes stand for by the rules, are within the stated widths; nothing is checked.
    rules : sequence of tuple of int
        Flip and less of every input.
    codes : uint8 or uint16 array [B, ..., n]

    Returns
    -------
    callable or None
        None if a unit has no kernel of vector code, or it does not take codes for an input, or rows do not lie as it
        takes them.
    """
    n = codes.shape[-1]
    vector = _joined([unit.vector(n) for unit in units])
    arrays = (*inputs, codes)
    if vector is None or any(rule != PLAIN for rule in rules[vector.coded :]):
        return None
    if any(array.strides[-1] != array.itemsize for array in arrays):
        return None
    found = _merged(arrays, keep=len(vector.constants[0]) > 1)
    if found is None:
        return None
    (b, h, t), strides = found.sizes, found.strides
    flats, places = [], []
    for array, (sb, sh, st), rule in zip(arrays, strides, (*rules, PLAIN), strict=True):
        flat, first = flattened(array)
        flats.append(flat)
        places.append((first, st, sh, sb, *rule))
    shape = np.array([t, h], np.int64)
    arguments = (shape, np.array(places, np.int64), *flats[:-1], *vector.constants, flats[-1])
    rows, grain = b * h * t, max(1, threads.GRAIN // n)
    return lambda: threads.run(vector.kernel, rows, grain, *arguments)


def flattened(array: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """The memory of an array as a flat one of its type, and the element of it with which the array begins."""
    owner = array if array.base is None else array.base
    flat = owner.reshape(-1).view(np.uint8).view(array.dtype)
    return flat, (array.ctypes.data - flat.ctypes.data) // array.itemsize


def _joined(vectors: list[Vector | None]) -> Vector | None:
    """One kernel for all units, if they have the same and constants of the same shapes."""
    first = vectors[0]
    if first is None or len(vectors) == 1:
        return first
    shapes = [one.shape for one in first.constants]
    for one in vectors:
        if one is None or one.kernel is not first.kernel or [each.shape for each in one.constants] != shapes:
            return None
    each = zip(*(one.constants for one in vectors if one is not None), strict=True)
    return Vector(first.kernel, tuple(np.concatenate(one) for one in each), first.coded)


def _merged(arrays: Sequence[NDArray[Any]], keep: bool) -> _Shape | None:
    """The axes before the last as three, of which the second is axis 1 if that is to be kept."""
    sizes = list(arrays[0].shape[:-1])
    strides = [[step // array.itemsize for step in array.strides[:-1]] for array in arrays]
    if keep:
        after = _one(sizes[2:], [one[2:] for one in strides])
        return after and _Shape(
            [*sizes[:2], *after.sizes], [one[:2] + more for one, more in zip(strides, after.strides, strict=True)]
        )
    merged = _fewest(sizes, strides)
    missing = 3 - len(merged.sizes)
    return (
        None if missing < 0 else _Shape([1] * missing + merged.sizes, [[0] * missing + one for one in merged.strides])
    )


def _one(sizes: list[int], strides: list[list[int]]) -> _Shape | None:
    found = _fewest(sizes, strides)
    if len(found.sizes) > 1:
        return None
    return found if found.sizes else _Shape([1], [[0]] * len(strides))


def _fewest(sizes: list[int], strides: list[list[int]]) -> _Shape:
    """Axes that follow each other in memory, in every array, as one."""
    kept: list[int] = []
    steps: list[list[int]] = [[] for _ in strides]
    for axis, size in enumerate(sizes):
        if size == 1:
            continue
        if kept and all(mine[-1] == one[axis] * size for mine, one in zip(steps, strides, strict=True)):
            kept[-1] *= size
            for mine, one in zip(steps, strides, strict=True):
                mine[-1] = one[axis]
        else:
            kept.append(size)
            for mine, one in zip(steps, strides, strict=True):
                mine.append(one[axis])
    return _Shape(kept, steps)
