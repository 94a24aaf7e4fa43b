"""Steps of a plan as nodes of an ONNX graph. Every edge is a value of its name: codes as stored, integers as int64."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptqsim.datapath.spec import Accumulator
from ptqsim.export.accumulators import Bounding, bounding
from ptqsim.integer_only import Apply, Combine, Move, Pad, Plan, Product, Reshape, Roll, Step, Take, Total, Transpose
from ptqsim.integer_only.edges import Edge
from ptqsim.integer_only.steps import DEFAULT
from ptqsim.ptq.onnx_export.integer.operands import Bytes, bytes_of, looked_up, stored_weights, tables_of
from ptqsim.ptq.onnx_export.integer.units import codes_of
from ptqsim.ptq.onnx_export.integer.values import Graph, Value

_WORD = 32


class StepsInOnnx:
    """Nodes of one step after the other.

    Attributes
    ----------
    graph : Graph
        The nodes and constants.
    operators : dict of str to str
        The operator that multiplies, by product.
    """

    def __init__(self, plan: Plan, accumulators: Mapping[str, Accumulator]) -> None:
        self.plan, self.graph = plan, Graph()
        self.operators: dict[str, str] = {}
        self._accumulators = accumulators
        self._integers: dict[str, Value] = {}

    def add(self, step: Step) -> None:
        """The nodes of a step, of which the last makes the value that is called like it."""
        if isinstance(step, Product):
            self._named(step, self._product(step))
        elif isinstance(step, Apply):
            self._named(step, self._apply(step))
        elif isinstance(step, Combine):
            self._named(step, self._combine(step))
        elif isinstance(step, Total):
            x = self._integers_of(step.source)
            self._named(step, self.graph.node("ReduceSum", x, np.array([step.axis + 1]), keepdims=0))
        else:
            self._named(step, self._move(step))

    def _named(self, step: Step, value: Value) -> None:
        """Give the last node's output the name of the edge."""
        last = self.graph.nodes[-1]
        if last.output[0] != value.name or len(last.output) > 1:
            self.graph.node("Identity", value, output=step.name)
        else:
            last.output[0] = step.name

    def _edge(self, name: str) -> Edge:
        return self.plan.edges[name]

    def _integers_of(self, name: str) -> Value:
        """Values of an edge, int64."""
        edge, value = self._edge(name), self.graph.value(name)
        if not edge.coded:
            return value
        if name not in self._integers:
            self._integers[name] = looked_up(value, edge, tables_of(edge))
        return self._integers[name]

    def _product(self, step: Product) -> Value:
        edge, left = self._edge(step.name), self._edge(step.left)
        bound = bounding(edge, self._accumulators.get(step.name, DEFAULT), "ONNX")
        if bound == Bounding.BY_STEP:
            raise ValueError(
                f"product {step.name!r} can overflow {self._accumulators[step.name]}, and ONNX has no sums that "
                f"saturate or trap; take an accumulator that wraps, or one of {edge.bits} bits"
            )
        columns = np.concatenate([one.aligned() for one in step.weights], -1) if step.right is None else None
        pairs = self._bytes(step, left, columns) if edge.bits <= _WORD else None
        self.operators[step.name] = "MatMul" if pairs is None else "MatMulInteger"
        acc = self._wide(step, edge, columns) if pairs is None else self._of_bytes(pairs)
        if bound == Bounding.NEVER:
            return acc
        half = 1 << (self._accumulators[step.name].bits - 1)
        return (acc + half).masked(self._accumulators[step.name].bits) - half

    def _bytes(
        self, step: Product, left: Edge, columns: NDArray[np.int64] | None
    ) -> tuple[list[Bytes], list[Bytes]] | None:
        a = bytes_of(self.graph.value(step.left), left)
        if step.right is None:
            assert columns is not None
            stored = stored_weights(columns, self.graph)
            return None if a is None or stored is None else (a, [stored])
        b = bytes_of(self.graph.value(step.right), self._edge(step.right))
        if a is None or b is None:
            return None
        if step.transposed:
            b = [one._replace(value=self._transposed(one.value, len(left.shape) + 1)) for one in b]
        return a, b

    def _of_bytes(self, pairs: tuple[list[Bytes], list[Bytes]]) -> Value:
        total: Value | None = None
        for a in pairs[0]:
            for b in pairs[1]:
                zeros = (np.array(one.zero_point, np.uint8) for one in (a, b))
                part = self.graph.node("MatMulInteger", a.value, b.value, *zeros).cast(np.int64)
                factor = a.factor * b.factor
                part = part if (factor == 1).all() else part * factor
                total = part if total is None else total + part
        assert total is not None
        return total

    def _wide(self, step: Product, edge: Edge, columns: NDArray[np.int64] | None) -> Value:
        """A MatMul of what the codes stand for, in 32-bit words where the sums fit them."""
        dtype: Any = np.int32 if edge.bits <= _WORD else np.int64
        a = self._integers_of(step.left)
        if step.right is None:
            assert columns is not None
            b = self.graph.constant(columns.astype(dtype))
        else:
            b = self._integers_of(step.right)
            b = self._transposed(b, len(edge.shape) + 1) if step.transposed else b
            b = b if dtype is np.int64 else b.cast(dtype)
        made = self.graph.node("MatMul", a if dtype is np.int64 else a.cast(dtype), b)
        return made if dtype is np.int64 else made.cast(np.int64)

    def _transposed(self, value: Value, axes: int) -> Value:
        return self.graph.node("Transpose", value, perm=[*range(axes - 2), axes - 1, axes - 2])

    def _apply(self, step: Apply) -> Value:
        edge, inputs = self._edge(step.name), [self._integers_of(name) for name in step.sources]
        length, groups = edge.shape[-1], len(step.units)
        if groups == 1:
            codes = codes_of(step.units[0], inputs, length)
        else:
            shares = [self.graph.nodes_of("Split", one, axis=1, num_outputs=groups, outputs=groups) for one in inputs]
            parts = [
                codes_of(unit, [share[group] for share in shares], length) for group, unit in enumerate(step.units)
            ]
            codes = self.graph.joined(parts, 1)
        return codes.cast(step.units[0].out_format.code_dtype)

    def _combine(self, step: Combine) -> Value:
        total: Value | None = None
        for name, factors in zip(step.sources, step.multipliers, strict=True):
            part = self._integers_of(name)
            part = part if factors == (1,) else part * np.array(factors, np.int64)
            total = part if total is None else total + part
        assert total is not None
        return total + np.asarray(step.constant, np.int64)

    def _move(self, step: Move) -> Value:
        value = self.graph.value(step.source)
        shape = list(self._edge(step.source).shape)
        for move in step.moves:
            if isinstance(move, Reshape):
                shape = _reshaped(shape, move.shape)
                value = self.graph.node("Reshape", value, np.array([-1, *shape]))
            elif isinstance(move, Transpose):
                shape = [shape[axis] for axis in move.axes]
                value = self.graph.node("Transpose", value, perm=[0, *(axis + 1 for axis in move.axes)])
            elif isinstance(move, Take):
                value = value.taken(move.axis + 1, move.start, move.stop)
                shape[move.axis] = len(range(*slice(move.start, move.stop).indices(shape[move.axis])))
            elif isinstance(move, Roll):
                size, axis = shape[move.axis], move.axis + 1
                cut = -move.shift % size
                parts = [value.taken(axis, cut, size), value.taken(axis, 0, cut)]
                value = self.graph.joined(parts, axis) if cut else value
            else:
                value = self._padded(value, move, len(shape) + 1)
                shape[move.axis] += move.count
        return self.graph.node("Identity", value) if not step.moves else value

    def _padded(self, value: Value, move: Pad, axes: int) -> Value:
        before = [0] * axes
        before[move.axis + 1] = move.count
        return self.graph.node("Pad", value, np.array([*before, *[0] * axes]))


def _reshaped(shape: list[int], wanted: tuple[int, ...]) -> list[int]:
    """A shape in which no size is -1."""
    known = prod(size for size in wanted if size != -1)
    return [prod(shape) // known if size == -1 else size for size in wanted]
