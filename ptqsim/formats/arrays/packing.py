"""Bit-packed storage: codes LSB first in a byte stream, without padding between them.

Bit j of code i is bit (i * bits + j) of the stream, and bit n of the stream is bit n % 8 of byte n // 8. The last
byte is filled with zeros.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.common.validation import checked_bits
from ptqsim.errors import ArgumentTypeError
from ptqsim.formats.arrays import codes as code_arrays
from ptqsim.kernels.codes import packing
from ptqsim.kernels.runtime import threads as _threads

# Codes handled at a time. A multiple of 8, so that every block starts at a whole byte.
_BLOCK = 1 << 18


def packed_size(count: int, bits: int) -> int:
    """Bytes that `count` codes of `bits` bits take: ceil(count * bits / 8)."""
    return -(-count * bits // 8)


def pack(codes: ArrayLike, bits: int) -> bytes:
    """Pack codes in C order.

    Parameters
    ----------
    codes : array_like
        Unsigned integers of any shape.
    bits : int
        Width of a code, 2 to 16.

    Returns
    -------
    bytes
        ceil(n * bits / 8) bytes.

    Raises
    ------
    TypeError
        If `bits` is no integer, or the codes are no integers.
    ValueError
        If `bits` is out of range, or a code does not fit it.
    """
    bits = checked_bits(bits)
    flat = code_arrays.checked(codes, bits).reshape(-1)
    parts = []
    for start in range(0, flat.size, _BLOCK):
        stream = (flat[start : start + _BLOCK, None] >> np.arange(bits, dtype=flat.dtype)) & 1
        parts.append(np.packbits(stream.astype(np.uint8), bitorder="little").tobytes())
    return b"".join(parts)


def unpack(data: bytes | bytearray | memoryview, bits: int, shape: int | Sequence[int]) -> NDArray[Any]:
    """Codes that `pack` put into `data`: ``unpack(pack(codes, bits), bits, codes.shape)`` equals `codes`.

    Returns
    -------
    array
        uint8 for `bits` up to 8, else uint16, of the given shape.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If `bits` is out of range, or the length of `data` is not what `shape` and `bits` need.
    """
    bits = checked_bits(bits)
    try:
        sizes = tuple(map(operator.index, shape if isinstance(shape, Iterable) else (shape,)))
    except TypeError:
        raise ArgumentTypeError(f"shape must be an integer or a sequence of integers, got {shape!r}") from None
    if any(size < 0 for size in sizes):
        raise ValueError(f"a shape has no negative sizes, got {sizes}")
    count = math.prod(sizes)
    try:
        stored = np.frombuffer(data, np.uint8)
    except TypeError:
        raise ArgumentTypeError(f"data must be bytes, got {type(data).__name__}") from None
    if stored.size != packed_size(count, bits):
        raise ValueError(
            f"{count} codes of {bits} bits (shape {sizes}) take {packed_size(count, bits)} bytes, got {stored.size}; "
            "check the shape and the width that the codes were packed with"
        )
    dtype = code_arrays.dtype_for(bits)
    if bits in (8, 16):  # whole bytes
        return stored.view(dtype.newbyteorder("<")).astype(dtype).reshape(sizes)
    out = np.empty(count, dtype)
    padded = np.concatenate([stored, np.zeros(packing.SPARE, np.uint8)])
    _threads.run(packing.unpack, count, _BLOCK, padded, bits, out)
    return out.reshape(sizes)
