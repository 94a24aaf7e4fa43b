"""A plan made ready for a number of images: arrays in place, constants and kernels bound, nothing left to be decided.

A program runs what the plan's widths prove to be right without a look at the values: accumulators are int32, and every
unit is bound to the rows that it reads. Where something isn't proven there is no program, and `execution` goes step by
step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ptqsim.datapath.spec import Accumulator, OverflowMode
from ptqsim.formats.array import QuantizedArray
from ptqsim.gemm.fixed import Sides, certified, fixed_product
from ptqsim.gemm.operands.fixed import meaning_of
from ptqsim.integer_only.edges import Edge
from ptqsim.integer_only.memory import Block, Memory
from ptqsim.integer_only.moves import Reshape, Transpose, moved
from ptqsim.integer_only.plan import PIXELS, Plan
from ptqsim.integer_only.steps import DEFAULT, Apply, Combine, Move, Product, Step, Total, spread
from ptqsim.units import vectors

Call = Callable[[], object]
WORD_BITS = 32
"""Greatest width of an integer in a program."""


class _Value(NamedTuple):
    """An edge: its array [B, ...], and the block that it lies in."""

    array: NDArray[Any]
    block: Block


class Program:
    """The calls of a plan for `count` images at a time.

    Parameters
    ----------
    plan : Plan
    count : int
    accumulators : mapping of str to Accumulator
        Those of products by name; 32 bits otherwise.
    weights : mapping of str to sequence of QuantizedArray
        Weights of every product, of which those that mean the same are joined.
    """

    def __init__(
        self,
        plan: Plan,
        count: int,
        accumulators: Mapping[str, Accumulator],
        weights: Mapping[str, list[QuantizedArray]],
    ) -> None:
        self._plan, self._count, self._accumulators, self._weights = plan, count, accumulators, weights
        self._memory = Memory()
        self._values: dict[str, _Value] = {}
        self._calls: list[Call] = []
        self._users = {name: [step for step in plan.steps if name in step.sources] for name in plan.edges}
        self._placed: dict[str, _Value] = {}
        self._pixels = self._new(PIXELS, np.uint8)
        for index, step in enumerate(plan.steps):
            self._bind(step)
            for name in step.sources:
                if plan.last_use[name] == index and name in self._values:
                    self._memory.release(self._values.pop(name).block)
        self._logits = self._values[plan.output].array

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Logits of `count` images."""
        np.copyto(self._pixels, pixels)
        for call in self._calls:
            call()
        return self._logits.astype(np.int64)

    def _new(self, name: str, dtype: Any) -> NDArray[Any]:
        block, array = self._memory.take((self._count, *self._plan.edges[name].shape), dtype)
        self._values[name] = _Value(array, block)
        return array

    def _bind(self, step: Step) -> None:
        if isinstance(step, Product):
            self._product(step)
        elif isinstance(step, Apply):
            self._apply(step)
        elif isinstance(step, Move):
            self._move(step)
        else:
            self._sum(step)

    def _contiguous(self, array: NDArray[Any]) -> NDArray[Any]:
        """The array, or one that a call fills with its values, if they do not follow each other."""
        if array.flags.c_contiguous:
            return array
        copy = np.empty(array.shape, array.dtype)
        self._calls.append(lambda: np.copyto(copy, array))
        return copy

    def _product(self, step: Product) -> None:
        left, edges = self._contiguous(self._values[step.left].array), self._plan.edges
        acc = self._new(step.name, np.int32)
        register, bits = self._accumulators.get(step.name, DEFAULT), edges[step.name].bits
        if step.right is None:
            rows = left.reshape(1, -1, left.shape[-1])
            formats = edges[step.left].formats
            out = acc.reshape(1, rows.shape[1], -1)
            parts = self._weights[step.name]
            first = 0
            for part in parts:
                columns = part.shape[1]
                own = out if len(parts) == 1 else np.empty((*out.shape[:2], columns), np.int32)
                self._calls.append(fixed_product(Sides(rows, formats, part), register, bits, own))
                if own is not out:
                    self._calls.append(_copy(out[..., first : first + columns], own))
                first += columns
            return
        right = self._contiguous(self._values[step.right].array)
        heads = left.shape[1]
        each = int(np.prod(left.shape[2:-2], dtype=int))
        of_left, of_right = (
            [fmt for fmt in spread(edges[name].formats, heads) for _ in range(each)] * self._count
            for name in (step.left, step.right)
        )
        flat = [one.reshape(-1, *one.shape[-2:]) for one in (left, right, acc)]
        sides = Sides(flat[0], of_left, flat[1], of_right, step.transposed)
        self._calls.append(fixed_product(sides, register, bits, flat[2]))

    def _apply(self, step: Apply) -> None:
        edges = self._plan.edges
        codes = self._codes(step)
        inputs, rules = [], []
        for name in step.sources:
            array, rule = self._integers(edges[name], self._values[name].array)
            inputs.append(array)
            rules.append(rule)
        call = vectors.bound(step.units, inputs, rules, codes)
        self._calls.append(_unit_by_unit(step, inputs, rules, codes) if call is None else call)

    def _integers(self, edge: Edge, array: NDArray[Any]) -> tuple[NDArray[Any], vectors.Rule]:
        """An array and the rule by which its values are integers; one that a call fills if there is no such rule."""
        if not edge.coded:
            return array, vectors.PLAIN
        rules = {vectors.rule_of(fmt) for fmt in edge.formats}
        rule = rules.pop()
        if rule is not None and not rules:
            return array, rule
        integers = np.empty(array.shape, np.int32)

        def align() -> None:
            for g, fmt in enumerate(edge.formats):
                own = (slice(None), g) if len(edge.formats) > 1 else (slice(None),)
                integers[own] = fmt.align(array[own])

        self._calls.append(align)
        return integers, vectors.PLAIN

    def _codes(self, step: Apply) -> NDArray[Any]:
        """An array for codes; if all that follows is a rearrangement, it is that of the codes in their places."""
        dtype, users = step.units[0].out_format.code_dtype, self._users[step.name]
        if len(users) != 1 or not isinstance(users[0], Move):
            return self._new(step.name, dtype)
        move, shapes, axes = users[0], [(self._count, *self._plan.edges[step.name].shape)], []
        for one in move.moves:
            if not isinstance(one, Reshape | Transpose):
                return self._new(step.name, dtype)
            shapes.append(one(np.broadcast_to(np.uint8(0), shapes[-1])).shape)
            axes.append((0, *(np.argsort(one.axes) + 1)) if isinstance(one, Transpose) else None)
        block, array = self._memory.take(shapes.pop(), dtype)
        back = array
        while shapes:
            shape, order = shapes.pop(), axes.pop()
            back = back.reshape(shape) if order is None else back.transpose(order)
        if not np.may_share_memory(back, array):
            self._memory.release(block)
            return self._new(step.name, dtype)
        block.users += 1
        self._values[step.name], self._placed[move.name] = _Value(back, block), _Value(array, block)
        return back

    def _move(self, step: Move) -> None:
        if step.name in self._placed:
            self._values[step.name] = self._placed.pop(step.name)
            return
        source = self._values[step.source]
        array = moved(source.array, step.moves)
        if np.may_share_memory(array, source.array):
            source.block.users += 1
            self._values[step.name] = _Value(array, source.block)
            return
        out, given = self._new(step.name, array.dtype), source.array
        self._calls.append(lambda: np.copyto(out, moved(given, step.moves)))

    def _sum(self, step: Combine | Total) -> None:
        edges = self._plan.edges
        given = [self._integers(edges[name], self._values[name].array) for name in step.sources]
        out = self._new(step.name, np.int32)
        terms = [(array, np.int32(flip), np.int32(less)) for array, (flip, less) in given]
        if isinstance(step, Total):
            (array, flip, less), axis = terms[0], step.axis + 1
            self._calls.append(
                lambda: np.copyto(out, ((array.astype(np.int32) ^ flip) - less).sum(axis, dtype=np.int32))
            )
            return
        # A product with a factor can be wider than the sum, whose low 32 bits are right all the same.
        factors = [np.array([f % (1 << 32) for f in one], np.uint32).view(np.int32) for one in step.multipliers]
        constant = step.constant.astype(np.int32)
        single = len(terms) == 1 and step.multipliers == ((1,),) and not edges[step.sources[0]].coded

        def combine() -> None:
            np.copyto(out, constant)
            for (array, flip, less), factor in zip(terms, factors, strict=True):
                np.add(out, ((array.astype(np.int32) ^ flip) - less) * factor, out=out)

        self._calls.append((lambda: np.add(terms[0][0], constant, out=out)) if single else combine)


def _copy(target: NDArray[Any], source: NDArray[Any]) -> Call:
    return lambda: np.copyto(target, source)


def _unit_by_unit(step: Apply, inputs: list[NDArray[Any]], rules: list[vectors.Rule], codes: NDArray[Any]) -> Call:
    """The call of units that have no kernel of vector code, or not the same one."""

    def run() -> None:
        for g, unit in enumerate(step.units):
            own = (slice(None), g) if len(step.units) > 1 else (slice(None),)
            rows = []
            for array, (flip, less) in zip(inputs, rules, strict=True):
                integers = (array[own].astype(np.int64) ^ flip) - less
                rows.append(np.ascontiguousarray(integers).reshape(-1, integers.shape[-1]))
            codes[own] = unit.unchecked(tuple(rows)).reshape(codes[own].shape)

    return run


def has_program(plan: Plan, accumulators: Mapping[str, Accumulator]) -> bool:
    """True if every integer has 32 bits, and no accumulator that may trap is left."""
    if any(edge.aligned_bits > WORD_BITS for edge in plan.edges.values()):
        return False
    for step in plan.products():
        register = accumulators.get(step.name, DEFAULT)
        if register.overflow != OverflowMode.TRAP:
            continue
        edge, depth = plan.edges[step.name], plan.edges[step.left].shape[-1]
        if not certified(register, depth, edge.bits, zero_points=True):
            return False
    return True


def joined_weights(plan: Plan) -> dict[str, list[QuantizedArray]]:
    """Weights of every product; those of one product whose codes mean the same lie side by side in one array."""
    found = {}
    for step in plan.products():
        parts = list(step.weights)
        if len({meaning_of(one.format.unscaled()) for one in parts}) == 1 and len(parts) > 1:
            codes = np.concatenate([one.codes for one in parts], axis=-1)
            parts = [QuantizedArray(codes, parts[0].format.unscaled())]
        found[step.name] = parts
    return found
