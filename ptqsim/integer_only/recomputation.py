"""A plan in plain Python integers: the definition of what every other execution has to give.

Values of an edge are a list in C order. Rearrangements are tables of indices, products sums of products, and units
their own references.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from operator import mul

import numpy as np
from numpy.typing import ArrayLike

from ptqsim.datapath import reference as datapath
from ptqsim.datapath.bounds import datatype, weight_aware
from ptqsim.datapath.spec import Accumulator
from ptqsim.formats.base import NumberFormat
from ptqsim.integer_only.edges import Edge
from ptqsim.integer_only.moves import table_of
from ptqsim.integer_only.plan import PIXELS, Plan
from ptqsim.integer_only.steps import DEFAULT, Apply, Combine, Product, Total, spread

Values = list[int]


def reference(plan: Plan, image: ArrayLike, accumulators: Mapping[str, Accumulator] | None = None) -> dict[str, Values]:
    """Every edge of one image, as a list of Python integers in C order.

    Parameters
    ----------
    plan : Plan
        The network.
    image : uint8 array [C, H, W]
        Pixels.
    accumulators : mapping of str to Accumulator, optional
        As for `execute`.

    Returns
    -------
    dict of str to list of int
        Codes and integers by the name of the edge; the last are the logits.
    """
    checked = plan.checked_images(np.asarray(image)[None])
    values: dict[str, Values] = {PIXELS: checked.ravel().tolist()}
    chosen = {} if accumulators is None else accumulators
    for step in plan.steps:
        if isinstance(step, Product):
            made = _product(step, values, plan.edges, chosen.get(step.name, DEFAULT))
        elif isinstance(step, Apply):
            made = _apply(step, values, plan.edges)
        elif isinstance(step, Combine):
            made = _combine(step, values, plan.edges)
        elif isinstance(step, Total):
            made = _total(step, values, plan.edges)
        else:
            source = values[step.source]
            table = table_of(plan.edges[step.source].shape, step.moves)
            made = [source[place] if place >= 0 else 0 for place in table.ravel().tolist()]
        values[step.name] = made
    return values


def _product(
    step: Product, values: Mapping[str, Values], edges: Mapping[str, Edge], accumulator: Accumulator
) -> Values:
    left, shape = edges[step.left], edges[step.name].shape
    k, n = left.shape[-1], shape[-1]
    whole = datapath.needs_operands(accumulator)
    if step.right is None:
        rows = _rows(_meanings(values[step.left], left.format, whole), k)
        columns: list[list[object]] = []
        free = True
        for weights in step.weights:
            codes = weights.codes.T.ravel().tolist()
            columns += _rows(_meanings(codes, weights.format, whole), k)
            free = free and weight_aware(left.format, weights).bits <= accumulator.bits
        return [_dot(row, column, accumulator, free and not whole) for row in rows for column in columns]
    right = edges[step.right]
    made: Values = []
    size_left, size_right = prod(left.shape[-2:]), prod(right.shape[-2:])
    groups = shape[0]
    per_group = prod(shape[1:-2])
    a_formats, b_formats = spread(left.formats, groups), spread(right.formats, groups)
    for matrix in range(groups * per_group):
        a_format, b_format = a_formats[matrix // per_group], b_formats[matrix // per_group]
        a = values[step.left][matrix * size_left : (matrix + 1) * size_left]
        b = values[step.right][matrix * size_right : (matrix + 1) * size_right]
        rows = _rows(_meanings(a, a_format, whole), k)
        flat = _meanings(b, b_format, whole)
        columns = _rows(flat, k) if step.transposed else [flat[j::n] for j in range(n)]
        free = datatype(a_format, b_format, k).bits <= accumulator.bits and not whole
        made += [_dot(row, column, accumulator, free) for row in rows for column in columns]
    return made


def _dot(row: list[object], column: list[object], accumulator: Accumulator, free: bool) -> int:
    """One output; where the bound says that nothing overflows, the plain sum."""
    if free:
        return sum(map(mul, row, column))
    return datapath.dot(row, column, accumulator)


def _meanings(codes: Values, fmt: NumberFormat, whole: bool) -> list[object]:
    known = {code: datapath.operand(code, fmt) for code in set(codes)}
    found = {code: one if whole else one.aligned for code, one in known.items()}
    return [found[code] for code in codes]


def _rows(values: list[object], length: int) -> list[list[object]]:
    return [values[start : start + length] for start in range(0, len(values), length)]


def _integers(values: Values, edge: Edge) -> Values:
    if not edge.formats:
        return values
    size = len(values) // len(edge.formats)
    made: list[object] = []
    for group, fmt in enumerate(edge.formats):
        made += _meanings(values[group * size : (group + 1) * size], fmt, False)
    return made  # type: ignore[return-value]


def _apply(step: Apply, values: Mapping[str, Values], edges: Mapping[str, Edge]) -> Values:
    inputs = [_integers(values[name], edges[name]) for name in step.sources]
    length = edges[step.name].shape[-1]
    size = len(inputs[0]) // len(step.units)
    made: Values = []
    for group, unit in enumerate(step.units):
        shares = [one[group * size : (group + 1) * size] for one in inputs]
        made += (
            unit.reference(*([one[i : i + length] for i in range(0, size, length)] for one in shares)).ravel().tolist()
        )
    return made


def _combine(step: Combine, values: Mapping[str, Values], edges: Mapping[str, Edge]) -> Values:
    shape = edges[step.name].shape
    total: Values = np.broadcast_to(step.constant, shape).ravel().tolist()
    for name, factors in zip(step.sources, step.multipliers, strict=True):
        every = list(spread(factors, shape[-1])) * (len(total) // shape[-1])
        total = [t + x * m for t, x, m in zip(total, _integers(values[name], edges[name]), every, strict=True)]
    return total


def _total(step: Total, values: Mapping[str, Values], edges: Mapping[str, Edge]) -> Values:
    shape = edges[step.source].shape
    integers = _integers(values[step.source], edges[step.source])
    after = prod(shape[step.axis + 1 :])
    block = shape[step.axis] * after
    return [
        sum(integers[start + offset : start + block : after])
        for start in range(0, len(integers), block)
        for offset in range(after)
    ]
