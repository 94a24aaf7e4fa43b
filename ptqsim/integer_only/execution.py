"""Execution of a plan on NumPy arrays, by the kernels of products and units: integers from end to end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.datapath.spec import Accumulator
from ptqsim.errors import AccumulatorOverflowError, LayerOverflowError
from ptqsim.formats.array import QuantizedArray
from ptqsim.gemm.integers import integer_kernels
from ptqsim.gemm.multiply import matmul
from ptqsim.gemm.results.result import MatmulResult
from ptqsim.integer_only.edges import Edge
from ptqsim.integer_only.moves import moved
from ptqsim.integer_only.plan import PIXELS, Plan
from ptqsim.integer_only.programs import run_programs, within_bounds
from ptqsim.integer_only.steps import DEFAULT, Apply, Combine, Product, Step, Total, spread

Observer = Callable[[Step, Mapping[str, NDArray[Any]], NDArray[Any]], None]
"""Called after every step with the step, the edges that still live, and what the step made."""

ProductObserver = Callable[[str, int, QuantizedArray, QuantizedArray, MatmulResult], None]
"""Called after every product with its name, its group, both operands and the result."""


def execute(
    plan: Plan,
    images: ArrayLike,
    accumulators: Mapping[str, Accumulator] | None = None,
    observer: Observer | None = None,
    product_observer: ProductObserver | None = None,
    statistics: bool = False,
) -> NDArray[np.int64]:
    """Logits of images.

    Parameters
    ----------
    plan : Plan
        The network.
    images : uint8 array [B, C, H, W]
        Pixels.
    accumulators : mapping of str to Accumulator, optional
        Accumulators of products by name; 32 bits otherwise.
    observer : callable, optional
        Called after every step.
    product_observer : callable, optional
        Called after every matrix product.
    statistics : bool, optional
        Whether products report overflow events.

    Returns
    -------
    int64 array [B, classes]
        In units of `Plan.logit_scale`. The same bits for any number of images at a time, and of threads.

    Raises
    ------
    AccumulatorOverflowError
        Under ``trap``, if a register overflows.
    TypeError, ValueError
        If the images are not pixels of the shape that the plan takes.
    """
    with integer_kernels():
        pixels, accumulators = plan.checked_images(images), accumulators or {}
        if observer is None and product_observer is None and not statistics:
            made = run_programs(plan, pixels, accumulators)
            if made is not None:
                return made
        return _run(plan, pixels, accumulators, observer, product_observer, statistics)


def _run(
    plan: Plan,
    pixels: NDArray[np.uint8],
    accumulators: Mapping[str, Accumulator],
    observer: Observer | None,
    product_observer: ProductObserver | None,
    statistics: bool,
) -> NDArray[np.int64]:
    edges = plan.edges
    # Then the plan has proven that no unit gets an integer that is wider than it is made for.
    proven = all(map(within_bounds, accumulators.values()))
    values: dict[str, NDArray[Any]] = {PIXELS: pixels}
    for index, step in enumerate(plan.steps):
        if isinstance(step, Product):
            accumulator = accumulators.get(step.name, DEFAULT)
            made = _product(step, values, edges, accumulator, product_observer, statistics)
        elif isinstance(step, Apply):
            made = _apply(step, values, edges, proven)
        elif isinstance(step, Combine):
            made = _combine(step, values, edges)
        elif isinstance(step, Total):
            made = integers_of(values[step.source], edges[step.source]).sum(step.axis + 1)
        else:
            made = moved(values[step.source], step.moves)
        values[step.name] = made
        if observer is not None:
            observer(step, values, made)
        for name in step.sources:
            if plan.last_use[name] == index:
                values.pop(name, None)
    return np.asarray(values[plan.output], np.int64)


def _product(
    step: Product,
    values: Mapping[str, NDArray[Any]],
    edges: Mapping[str, Edge],
    accumulator: Accumulator,
    observer: ProductObserver | None,
    statistics: bool,
) -> NDArray[np.int64]:
    left, shape = values[step.left], edges[step.name].shape
    if step.right is None:
        rows = QuantizedArray(left.reshape(-1, left.shape[-1]), edges[step.left].format)
        pairs = [(rows, weights) for weights in step.weights]
    else:
        right = values[step.right].swapaxes(-1, -2) if step.transposed else values[step.right]
        formats = spread(edges[step.left].formats, shape[0]), spread(edges[step.right].formats, shape[0])
        pairs = [
            (QuantizedArray(left[:, g], formats[0][g]), QuantizedArray(right[:, g], formats[1][g]))
            for g in range(shape[0])
        ]
    parts: list[NDArray[np.int64]] = []
    for group, (a, b) in enumerate(pairs):
        try:
            result = matmul(a, b, accumulator, statistics=statistics)
        except AccumulatorOverflowError as error:
            raise LayerOverflowError(step.name, group, error) from None
        if observer is not None:
            observer(step.name, group, a, b, result)
        parts.append(result.acc)
    if step.right is not None:
        return np.stack(parts, 1)
    joined = parts[0] if len(parts) == 1 else np.concatenate(parts, -1)
    return joined.reshape(len(left), *shape)


def _apply(step: Apply, values: Mapping[str, NDArray[Any]], edges: Mapping[str, Edge], proven: bool) -> NDArray[Any]:
    inputs = [integers_of(values[name], edges[name]) for name in step.sources]
    if not proven:
        if len(step.units) == 1:
            return step.units[0](*inputs)
        return np.stack([unit(*(x[:, g] for x in inputs)) for g, unit in enumerate(step.units)], 1)
    shape = inputs[0].shape
    if len(step.units) == 1:
        return step.units[0].unchecked(tuple(_rows(x) for x in inputs)).reshape(shape)
    made = np.empty(shape, step.units[0].out_format.code_dtype)
    for g, unit in enumerate(step.units):
        made[:, g] = unit.unchecked(tuple(_rows(x[:, g]) for x in inputs)).reshape(made[:, g].shape)
    return made


def _rows(x: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.ascontiguousarray(x).reshape(-1, x.shape[-1])


def _combine(step: Combine, values: Mapping[str, NDArray[Any]], edges: Mapping[str, Edge]) -> NDArray[np.int64]:
    total: NDArray[np.int64] = np.zeros((), np.int64) + step.constant
    for name, factors in zip(step.sources, step.multipliers, strict=True):
        integers = integers_of(values[name], edges[name])
        total = total + (integers if factors == (1,) else integers * np.array(factors, np.int64))
    return total


def integers_of(x: NDArray[Any], edge: Edge) -> NDArray[np.int64]:
    """The integers that codes stand for, in units of their step; integers are themselves."""
    if not edge.formats:
        return x
    if len(edge.formats) == 1:
        return edge.format.align(x)
    return np.stack([fmt.align(x[:, g]) for g, fmt in enumerate(edge.formats)], 1)
