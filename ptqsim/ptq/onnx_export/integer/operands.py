"""Operands of products in an ONNX graph: bytes with a zero point where they fit, wider integers elsewhere.

Both operands of a MatMulInteger are unsigned: on processors without dot products of bytes, the kernel of ONNX Runtime
for unsigned times signed bytes saturates, and that for unsigned bytes does not.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ptqsim.formats.base import NumberFormat
from ptqsim.formats.twin import TwinGELU, TwinSoftmax
from ptqsim.integer_only.edges import Edge
from ptqsim.ptq.onnx_export.integer.targets import aligned_table
from ptqsim.ptq.onnx_export.integer.values import Graph, Value

_BYTE = 256


class Bytes(NamedTuple):
    """A part of an operand: unsigned bytes, what is to be subtracted from them, and a factor for each head."""

    value: Value
    zero_point: int
    factor: NDArray[np.int64]


def looked_up(code: Value, edge: Edge, tables: NDArray[Any]) -> Value:
    """Entries of a table [F, codes] for each format of an edge, the index being its codes [N, ...]."""
    index = code.cast(np.int64)
    if len(tables) > 1:
        offsets = np.arange(len(tables), dtype=np.int64) * tables.shape[1]
        index = index + offsets.reshape(-1, *(1,) * (len(edge.shape) - 1))
    return index.of(tables.ravel(), tables.dtype)


def tables_of(edge: Edge, one: Any = aligned_table) -> NDArray[np.int64]:
    """A table [F, codes] of what codes stand for: one for all formats where these are equal."""
    tables = np.stack([one(fmt) for fmt in edge.formats])
    return tables[:1] if (tables == tables[0]).all() else tables


def bytes_of(code: Value, edge: Edge) -> list[Bytes] | None:
    """An edge of codes as parts whose sum, each times its factor, is what the codes stand for; None if too wide."""
    if not edge.coded or edge.bits > 8:
        return None
    twin = any(isinstance(fmt, TwinGELU | TwinSoftmax) for fmt in edge.formats)
    parts = []
    for one, shifted in ((_fine, False), (_coarse, True)) if twin else ((aligned_table, False),):
        tables = tables_of(edge, one)
        zero_point = max(0, -int(tables.min()))
        if int(tables.max()) + zero_point >= _BYTE or zero_point >= _BYTE:
            return None
        stored = (tables + zero_point).astype(np.uint8)
        identity = len(stored) == 1 and np.array_equal(stored[0], np.arange(stored.shape[1]))
        value = code if identity else looked_up(code, edge, stored)
        shifts = np.array([fmt.shift if shifted else 0 for fmt in edge.formats])
        factor = np.left_shift(1, shifts).reshape(-1, *(1,) * (len(edge.shape) - 1))
        parts.append(Bytes(value, zero_point, factor))
    return parts


def stored_weights(columns: NDArray[np.int64], graph: Graph) -> Bytes | None:
    """Weights [K, N] as bytes; None if they need more."""
    zero_point = max(0, -int(columns.min()))
    if zero_point >= _BYTE or int(columns.max()) + zero_point >= _BYTE:
        return None
    return Bytes(graph.constant((columns + zero_point).astype(np.uint8)), zero_point, np.array([1]))


def _fine(fmt: NumberFormat) -> NDArray[np.int64]:
    """Values of codes of R1; zero for those of R2."""
    table = aligned_table(fmt).copy()
    table[len(table) // 2 :] = 0
    return table


def _coarse(fmt: NumberFormat) -> NDArray[np.int64]:
    """Values of codes of R2, in steps of R2; zero for those of R1."""
    table = aligned_table(fmt) >> fmt.shift
    table[: len(table) // 2] = 0
    return table
