"""Integers in an ONNX graph: values with operators, constants that are written once, and what units need of them.

Everything is int64 unless a method says otherwise. `Value.over` is ONNX's Div of integers, which rounds toward zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

FAR: Final = 1 << 62
"""Added to an integer, which has at most 63 signed bits, so that a division rounds down whatever its sign."""

Given: TypeAlias = "Value | int | NDArray[Any]"


class Value:
    """A value of a graph; ``+``, ``-``, ``*`` and comparisons are nodes."""

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph, self.name = graph, name

    def __add__(self, other: Given) -> Value:
        return self.graph.node("Add", self, other)

    def __sub__(self, other: Given) -> Value:
        return self.graph.node("Sub", self, other)

    def __rsub__(self, other: int) -> Value:
        return self.graph.node("Sub", other, self)

    def __mul__(self, other: Given) -> Value:
        return self.graph.node("Mul", self, other)

    def __neg__(self) -> Value:
        return self.graph.node("Neg", self)

    def __abs__(self) -> Value:
        return self.graph.node("Abs", self)

    def __ge__(self, other: Given) -> Value:
        return self.graph.node("GreaterOrEqual", self, other)

    def __gt__(self, other: Given) -> Value:  # type: ignore[misc]
        return self.graph.node("Greater", self, other)

    def __lt__(self, other: Given) -> Value:  # type: ignore[misc]
        return self.graph.node("Less", self, other)

    def over(self, divisor: Given) -> Value:
        """The quotient, rounded toward zero."""
        return self.graph.node("Div", self, divisor)

    def where(self, yes: Given, no: Given) -> Value:
        """`yes` where this boolean is true."""
        return self.graph.node("Where", self, yes, no)

    def least(self, other: Given) -> Value:
        """The lesser of both."""
        return self.graph.node("Min", self, other)

    def most(self, other: Given) -> Value:
        """The greater of both."""
        return self.graph.node("Max", self, other)

    def masked(self, bits: int) -> Value:
        """The lowest bits, as an unsigned integer."""
        return self.graph.node("BitwiseAnd", self, (1 << bits) - 1)

    def total(self) -> Value:
        """The sum over the last axis, which stays with length 1."""
        return self.graph.node("ReduceSum", self, np.array([-1]), keepdims=1)

    def greatest(self) -> Value:
        """The greatest over the last axis, which stays with length 1."""
        return self.graph.node("ReduceMax", self, np.array([-1]), keepdims=1)

    def of(self, table: ArrayLike, dtype: Any = np.int64) -> Value:
        """Entries of a table, this being the index."""
        return self.graph.node("Gather", np.asarray(table, dtype), self)

    def cast(self, dtype: Any) -> Value:
        """The same integers in another type."""
        return self.graph.node("Cast", self, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def taken(self, axis: int, start: int, stop: int) -> Value:
        """Indices from `start` to `stop`, excluded, of an axis."""
        ends = (np.array([one], np.int64) for one in (start, stop, axis))
        return self.graph.node("Slice", self, *ends)

    def down(self, divisor: Given) -> Value:
        """The quotient by a power of two up to 2**62, rounded down."""
        far = self.graph.constant(FAR)
        return (self + far).over(divisor) - far.over(divisor)

    def half_up(self, shift: int | Sequence[int]) -> Value:
        """``self / 2**shift``, a half rounded up; a negative shift is to the left. One shift, or one per channel."""
        shifts = np.atleast_1d(np.asarray(shift, np.int64))
        left, right = np.left_shift(1, np.maximum(-shifts, 0)), np.maximum(shifts, 0)
        scaled = self if (left == 1).all() else self * left
        if not right.any():
            return scaled
        return (scaled + (np.left_shift(1, right) >> 1)).down(np.left_shift(1, right))

    def power(self) -> Value:
        """2 to this power, which is 0 to 62."""
        return self.of(np.left_shift(1, np.arange(63)))

    def bit_length(self) -> Value:
        """Bits of positive integers below 2**62, found by halves."""
        found, rest = None, self
        for step in (32, 16, 8, 4, 2, 1):
            wide = rest >= 1 << step
            rest = wide.where(rest.over(1 << step), rest)
            bits = wide.where(step, 0)
            found = bits if found is None else found + bits
        assert found is not None
        return found + 1


class Graph:
    """Nodes and constants of a graph, in the order in which they were made."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def value(self, name: str) -> Value:
        """A value that is called so."""
        return Value(self, name)

    def constant(self, given: int | NDArray[Any]) -> Value:
        """A constant, int64 where a plain integer is given; equal ones are one."""
        array = np.ascontiguousarray(given) if isinstance(given, np.ndarray) else np.array(given, np.int64)
        array = array.reshape(np.shape(given))
        key = str(array.dtype), array.shape, array.tobytes()
        if key not in self._known:
            self._known[key] = f"constant{len(self._known)}"
            self.constants.append(numpy_helper.from_array(array, self._known[key]))
        return Value(self, self._known[key])

    def node(self, operator: str, *inputs: Given, output: str | None = None, **attributes: Any) -> Value:
        """The output of a node; integers and arrays among the inputs become constants."""
        names = [(one if isinstance(one, Value) else self.constant(one)).name for one in inputs]
        name = output or f"value{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, names, [name], **attributes))
        return Value(self, name)

    def nodes_of(self, operator: str, *inputs: Given, outputs: int, **attributes: Any) -> list[Value]:
        """The outputs of a node that has several."""
        names = [(one if isinstance(one, Value) else self.constant(one)).name for one in inputs]
        made = [f"value{len(self.nodes)}.{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(operator, names, made, **attributes))
        return [Value(self, name) for name in made]

    def joined(self, parts: Sequence[Value], axis: int, output: str | None = None) -> Value:
        """Parts side by side."""
        if len(parts) == 1:
            return parts[0] if output is None else self.node("Identity", parts[0], output=output)
        return self.node("Concat", *parts, axis=axis, output=output)
