"""Values of ports as words of 32 bits, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.formats.arrays.given import as_array
from ptqsim.rtl.hardware.verilog import Port


def words_of(port: Port) -> int:
    """Words that one value of the port takes."""
    return -(-port.signal.width // 32)


def packed(ports: Sequence[Port], values: Mapping[str, ArrayLike], rows: int) -> NDArray[np.uint32]:
    """The values of every port, [n] or [n, fields] or one for all rows, as [rows, words]: ports side by side."""
    unknown = values.keys() - {port.name for port in ports}
    absent = {port.name for port in ports} - values.keys()
    if unknown or absent:
        raise ValueError(f"values for {sorted(absent)} are missing, and there is no input {sorted(unknown)}")
    none = np.zeros((rows, 0), np.uint32)
    return np.concatenate([none, *(_packed(port, values[port.name], rows) for port in ports)], axis=1)


def unpacked(ports: Sequence[Port], words: NDArray[np.uint32]) -> dict[str, NDArray[np.int64]]:
    """The inverse of `packed`: [n], or [n, fields] for a port with several fields."""
    found, start = {}, 0
    for port in ports:
        stop = start + words_of(port)
        found[port.name] = _unpacked(port, words[:, start:stop])
        start = stop
    return found


def _packed(port: Port, values: ArrayLike, rows: int) -> NDArray[np.uint32]:
    array = as_array(port.name, values)
    if array.size and array.dtype.kind not in "uib":
        raise ValueError(f"values of the input {port.name} must be integers, got an array of {array.dtype}")
    array = array.astype(np.int64)
    bits = port.signal.width
    if array.ndim < 2 and port.fields > 1 and array.ndim:
        raise ValueError(f"{port.name} holds {port.fields} values, so an array [n, {port.fields}] is needed")
    if port.fields == 1 and bits <= 64:
        flat = np.broadcast_to(array.reshape(-1) if array.ndim else array, rows).astype(np.uint64)
        if bits < 64:
            flat = flat & np.uint64((1 << bits) - 1)
        low = (flat & np.uint64(0xFFFFFFFF)).astype(np.uint32)
        return low[:, None] if bits <= 32 else np.stack([low, (flat >> np.uint64(32)).astype(np.uint32)], axis=1)
    fields = np.broadcast_to(array, (rows, port.fields))
    each = bits // port.fields
    apart = ((fields[..., None] >> np.minimum(np.arange(each), 63)) & 1).astype(np.uint8).reshape(rows, bits)
    padded = np.zeros((rows, words_of(port) * 32), np.uint8)
    padded[:, :bits] = apart
    return np.packbits(padded, axis=1, bitorder="little").view(np.uint32)


def _unpacked(port: Port, words: NDArray[np.uint32]) -> NDArray[np.int64]:
    bits = port.signal.width
    if port.fields == 1 and bits <= 64:
        value: NDArray[Any] = words[:, 0].astype(np.uint64)
        if bits > 32:
            value |= words[:, 1].astype(np.uint64) << np.uint64(32)
        return _extended(value.astype(np.int64), bits, port.signed)
    each = bits // port.fields
    apart = np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=1, bitorder="little")[:, :bits]
    weights = np.int64(1) << np.arange(each, dtype=np.int64)
    fields = (apart.reshape(len(words), port.fields, each).astype(np.int64) * weights).sum(axis=2)
    return _extended(fields, each, port.signed)


def _extended(values: NDArray[np.int64], bits: int, signed: bool) -> NDArray[np.int64]:
    if not signed:
        return values
    drop = np.int64(64 - bits)
    return (values << drop) >> drop
