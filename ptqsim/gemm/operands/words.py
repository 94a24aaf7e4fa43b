"""Operands as int16, scaled to the width of a register: for the groups of `kernels.words` and `kernels.halves`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ptqsim.formats.base import GridRange
from ptqsim.gemm.operands.kind import Kind, ranges_of, table_of
from ptqsim.gemm.operands.operand import PreparedOperand

INT16_MIN, INT16_MAX = -(1 << 15), (1 << 15) - 1

_Halves = tuple[GridRange, ...]


class ScaledWords(NamedTuple):
    """The word of every left and every right code, such that their product is scaled by 2**scale."""

    left: NDArray[np.int32]
    right: NDArray[np.int32]
    scale: int


def scaled(left: PreparedOperand, right: PreparedOperand, register_bits: int) -> ScaledWords | None:
    """Words whose products fill a register of `register_bits` bits up to 32; None if they do not fit int16.

    A step multiplies word by word, half by half: either both operands are in the low halves, or one of them has a
    range in each half and the other is in both, or both are in both and the product counts twice. The scale,
    2**(32 - register_bits), and the shift of a range are given to both factors, to each as much as it can hold.
    Roughly: a register no narrower than a product is served.
    """
    return _scaled(left.kind, right.kind, register_bits)


# A layer uses the same formats and register in every call.
@lru_cache(maxsize=256)
def _scaled(left: Kind, right: Kind, register_bits: int) -> ScaledWords | None:
    if register_bits > 32:
        return None
    scale = 32 - register_bits
    for left_halves, right_halves, same in _representations(left, right):
        # The same product in both halves counts twice.
        of_each = scale - 1 if same else scale
        factors = [_factors(x, w, of_each) for x, w in zip(left_halves, right_halves, strict=True)]
        if all(factor is not None for factor in factors):
            given = [factor for factor in factors if factor is not None]
            return ScaledWords(_joined([x for x, _ in given]), _joined([w for _, w in given]), scale)
    return None


class Halves(NamedTuple):
    """The int16 of every left code, twice in a word of 32 bits, and of every right one, scaled by 2**scale together."""

    left: NDArray[np.int32]
    right: NDArray[np.int16]
    scale: int


def halves(left: PreparedOperand, right: PreparedOperand, peak: int, scale: int) -> Halves | None:
    """Operands none of whose products, up to `peak`, leaves int16 when it is scaled by 2**scale; None if one could."""
    return _halves(left.kind, right.kind, scale) if peak << scale <= INT16_MAX else None


@lru_cache(maxsize=256)
def _halves(left: Kind, right: Kind, scale: int) -> Halves | None:
    factors = _factors(GridRange(0, table_of(left)), GridRange(0, table_of(right)), scale)
    return None if factors is None else Halves(_joined([factors[0]] * 2), factors[1].astype(np.int16), scale)


def _representations(left: Kind, right: Kind) -> Iterator[tuple[_Halves, _Halves, bool]]:
    """Ways to put the operands into halves: pairs of ranges whose products sum to that of the operands.

    The last one has the same in both halves, and the sum is twice the product.
    """
    whole_left, whole_right = (GridRange(0, table_of(kind)) for kind in (left, right))
    left_ranges, right_ranges = ranges_of(left), ranges_of(right)
    yield (whole_left,), (whole_right,), False
    if len(left_ranges) == 2:
        yield left_ranges, (whole_right, whole_right), False
    if len(right_ranges) == 2:
        yield (whole_left, whole_left), right_ranges, False
    yield (whole_left, whole_left), (whole_right, whole_right), True


def _factors(x: GridRange, w: GridRange, scale: int) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """The mantissas of both, shifted by `scale` and their own shifts together, if they stay int16."""
    shift = scale + x.shift + w.shift
    room_of_x, room_of_w = _room(x.mantissa), _room(w.mantissa)
    if min(room_of_x, room_of_w) < 0 or not 0 <= shift <= room_of_x + room_of_w:
        return None
    of_x = min(shift, room_of_x)
    return x.mantissa << of_x, w.mantissa << (shift - of_x)


def _room(mantissa: NDArray[np.int64]) -> int:
    """Greatest left shift that keeps values in int16; negative if they do not fit int16 as they are."""
    low, high = int(mantissa.min()), int(mantissa.max())
    if low == high == 0:
        return 15
    return min(15 - high.bit_length(), 15 - (-low - 1).bit_length() if low < 0 else 15)


def _joined(halves: list[NDArray[np.int64]]) -> NDArray[np.int32]:
    low = halves[0] & 0xFFFF
    high = halves[1] & 0xFFFF if len(halves) == 2 else np.zeros_like(low)
    return (low | high << 16).astype(np.uint32).view(np.int32)
