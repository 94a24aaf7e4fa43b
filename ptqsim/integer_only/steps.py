"""Steps of a plan: products, units, sums of integers, and rearrangements.

Shapes are those of one image. A step that has several units or several left formats has one for each index of axis 0,
such as the heads of an attention.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ptqsim.datapath.bounds import datatype, weight_aware
from ptqsim.datapath.spec import Accumulator
from ptqsim.formats.array import QuantizedArray
from ptqsim.integer_only.edges import Edge, coded_edge
from ptqsim.integer_only.moves import Rearrangement, table_of
from ptqsim.units.interval import Interval, of_values, signed_interval
from ptqsim.units.protocol import Unit

DEFAULT = Accumulator(bits=32)


@dataclass(frozen=True, eq=False)
class Product:
    """A matrix product of codes into accumulators.

    Attributes
    ----------
    name : str
        Name of the accumulators; that of the network's layer.
    left : str
        Codes [..., K], or [G, ..., M, K] for a product of activations.
    right : str or None
        Codes of the right operand, [G, ..., N, K], of which the transposed is multiplied by if `transposed`, else
        [G, ..., K, N]; None for weights.
    weights : tuple of QuantizedArray
        Matrices [K, N / G], whose results lie side by side on the last axis.
    transposed : bool
        Whether the right operand is a transposed one.
    """

    kind: ClassVar[str] = "product"
    name: str
    left: str
    right: str | None = None
    weights: tuple[QuantizedArray, ...] = ()
    transposed: bool = False

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return (self.left,) if self.right is None else (self.left, self.right)

    def edge(self, edges: Mapping[str, Edge]) -> Edge:
        """The accumulators, of the width that their bound proves."""
        left = edges[self.left]
        if self.right is None:
            if len(left.formats) != 1 or left.shape[-1] != self.weights[0].shape[0]:
                raise ValueError(f"product {self.name!r} can't take {left}; its weights are {self.weights[0].shape}")
            columns = sum(one.shape[-1] for one in self.weights)
            bits = max(weight_aware(left.format, one).bits for one in self.weights)
            scales = {float(np.max(one.format.scale)) for one in self.weights}
            one_scale = len(scales) == 1 and all(one.format.axis is None for one in self.weights)
            scale = left.format.scale * scales.pop() if one_scale else None
            return Edge(self.name, (*left.shape[:-1], columns), (), bits, scale)
        right = edges[self.right]
        *lead, k, n = (*right.shape[:-2], *(right.shape[-2:][:: -1 if self.transposed else 1]))
        if left.shape[-1] != k or list(left.shape[:-2]) != lead:
            raise ValueError(f"product {self.name!r} can't take {left} and {right}")
        pairs = list(zip(spread(left.formats, lead[0]), spread(right.formats, lead[0]), strict=True))
        bits = max(datatype(a, b, k).bits for a, b in set(pairs))
        scales = {float(a.scale * b.scale) for a, b in pairs}
        return Edge(self.name, (*left.shape[:-1], n), (), bits, scales.pop() if len(scales) == 1 else None)


@dataclass(frozen=True)
class Apply:
    """Units of `ptqsim.units`, over the last axis."""

    kind: ClassVar[str] = "apply"
    name: str
    sources: tuple[str, ...]
    units: tuple[Unit, ...]

    def edge(self, edges: Mapping[str, Edge]) -> Edge:
        """Codes of the units' output formats."""
        first = edges[self.sources[0]]
        if len(self.units) not in (1, first.shape[0]):
            raise ValueError(f"step {self.name!r} has {len(self.units)} units for {first}; legal is 1 or one per index")
        for place, name in enumerate(self.sources):
            given = edges[name]
            if given.shape != first.shape:
                raise ValueError(f"step {self.name!r} can't take {first} and {given}, which have different shapes")
            for unit in self.units:
                taken = unit.inputs[place]
                if given.aligned_bits > taken.bits:
                    raise ValueError(
                        f"step {self.name!r} takes {taken.name} of {taken.bits} bits, and edge {name!r} has "
                        f"{given.aligned_bits}; state a wider input"
                    )
        formats = tuple(unit.out_format for unit in self.units)
        if len({fmt.code_dtype for fmt in formats}) > 1:
            raise ValueError(f"step {self.name!r} has units whose codes are of 8 bits and of more; give them one width")
        return coded_edge(self.name, first.shape, formats[:1] if len(set(formats)) == 1 else formats)


@dataclass(frozen=True, eq=False)
class Combine:
    """A sum of integers, each times a constant: the sum of source * multiplier over the sources, plus a constant.

    Attributes
    ----------
    name : str
    sources : tuple of str
        Integers, all of one shape.
    multipliers : tuple of tuple of int
        For each source one factor, or one for each index of the last axis.
    constant : int64 array
        Broadcasts against the shape.
    scale : float or None
        Real value of one unit of the result.
    """

    kind: ClassVar[str] = "combine"
    name: str
    sources: tuple[str, ...]
    multipliers: tuple[tuple[int, ...], ...]
    constant: NDArray[np.int64]
    scale: float | None = None

    def edge(self, edges: Mapping[str, Edge]) -> Edge:
        """Integers, of the width of the interval of the sum."""
        given = [edges[name] for name in self.sources]
        if any(one.shape != given[0].shape for one in given):
            raise ValueError(f"step {self.name!r} can't add {' and '.join(map(str, given))}")
        found = of_values([int(self.constant.min()), int(self.constant.max())])
        for one, factors in zip(given, self.multipliers, strict=True):
            found += signed_interval(one.aligned_bits) * of_values(factors)
        return Edge(self.name, given[0].shape, (), _signed(self.name, found), self.scale)


@dataclass(frozen=True)
class Total:
    """The sum over an axis of what codes stand for, or of integers."""

    kind: ClassVar[str] = "total"
    name: str
    source: str
    axis: int

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return (self.source,)

    def edge(self, edges: Mapping[str, Edge]) -> Edge:
        """Integers, of the width of that many terms."""
        given = edges[self.source]
        count = given.shape[self.axis]
        shape = tuple(size for axis, size in enumerate(given.shape) if axis != self.axis)
        found = signed_interval(given.aligned_bits) * Interval(count, count)
        return Edge(self.name, shape, (), _signed(self.name, found), given.scale)


@dataclass(frozen=True)
class Move:
    """A rearrangement of codes or integers."""

    kind: ClassVar[str] = "move"
    name: str
    source: str
    moves: tuple[Rearrangement, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return (self.source,)

    def edge(self, edges: Mapping[str, Edge]) -> Edge:
        """The same codes or integers in another shape."""
        given = edges[self.source]
        if len(given.formats) > 1:
            raise ValueError(f"step {self.name!r} can't move {given}, whose formats belong to the indices of axis 0")
        return Edge(self.name, table_of(given.shape, self.moves).shape, given.formats, given.bits, given.scale)


Step: TypeAlias = Product | Apply | Combine | Total | Move


def spread(values: tuple[Any, ...], count: int) -> tuple[Any, ...]:
    """One value per index: those given if they are that many, else the one of them again and again."""
    return values if len(values) == count else values * count


def _signed(name: str, found: Interval) -> int:
    bits = found.bits + (not found.signed)
    if bits > 63:
        raise ValueError(f"step {name!r} needs {bits} signed bits, and at most 63 are legal")
    return bits
