"""The memory map of a block: a region for every edge that a step computes, and the addresses of those it rearranges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from ptqsim.integer_only import Combine, Edge, Move, Product, Step
from ptqsim.integer_only.moves import moved
from ptqsim.rtl.encoder.part import Part
from ptqsim.units.interval import of_values

COUNTER_BITS = 24
"""Least width of a word: what counts the cycles of an instruction has room in it."""


@dataclass(frozen=True, slots=True)
class Region:
    """Consecutive words of a memory.

    Parameters
    ----------
    name : str
        Edge or product whose values lie there.
    base, words : int
        First address and number of words.
    bits : int
        Bits of a word that the values need.
    signed : bool
        True for integers, whose sign fills the word; codes have zeros there.
    """

    name: str
    base: int
    words: int
    bits: int
    signed: bool


@dataclass(frozen=True, eq=False)
class MemoryMap:
    """Places of all values of a block.

    Parameters
    ----------
    data : tuple of Region
        Of the data memory: the source first, and the edges in the order in which they are computed.
    weights : tuple of Region
        Of the weight memory: matrices [K, N] of codes, by product, and constants that are added, by step.
    addresses : dict of str to NDArray of int64
        Address of every value of every edge, in the shape of the edge; of a rearrangement those of its source, and -1
        for the zeros that it puts in front.
    """

    data: tuple[Region, ...]
    weights: tuple[Region, ...]
    addresses: Mapping[str, NDArray[np.int64]]

    @property
    def edge_words(self) -> int:
        """Words of all edges; the cycle counters of the instructions follow."""
        return self.data[-1].base + self.data[-1].words

    @property
    def word_bits(self) -> int:
        """Width of the data memory."""
        return max(COUNTER_BITS, *(one.bits for one in self.data))

    @property
    def weight_bits(self) -> int:
        """Width of the weight memory."""
        return max((one.bits for one in self.weights), default=1)

    @property
    def weight_words(self) -> int:
        """Words of the weight memory, at least 2."""
        return max(2, sum(one.words for one in self.weights))

    def region(self, name: str) -> Region:
        """The region of an edge."""
        return next(one for one in self.data if one.name == name)


def memory_map(part: Part) -> MemoryMap:
    """Regions one after the other, none used twice: after a run every edge can be read."""
    addresses: dict[str, NDArray[np.int64]] = {}
    data: list[Region] = []
    weights: list[Region] = []

    def put(edge: Edge) -> None:
        base = data[-1].base + data[-1].words if data else 0
        words = prod(edge.shape)
        bits = max(fmt.bits for fmt in edge.formats) if edge.coded else edge.bits
        data.append(Region(edge.name, base, words, bits, not edge.coded))
        addresses[edge.name] = np.arange(base, base + words, dtype=np.int64).reshape(edge.shape)

    put(part.edges[part.source])
    for step in part.steps:
        if isinstance(step, Move):
            # One more, so that the zeros of a padding are what no address is.
            addresses[step.name] = moved(addresses[step.source][None] + 1, step.moves)[0] - 1
            continue
        put(part.edges[step.name])
        values = _constants(step, part.edges[step.name])
        if values is not None:
            base = weights[-1].base + weights[-1].words if weights else 0
            signed = not isinstance(step, Product)
            bits = of_values([-int(signed), int(values.min()), int(values.max())]).bits
            weights.append(Region(step.name, base, values.size, bits, signed))
    return MemoryMap(tuple(data), tuple(weights), addresses)


def weight_words(part: Part) -> NDArray[np.int64]:
    """The contents of the weight memory, region after region in C order."""
    found = [_constants(step, part.edges[step.name]) for step in part.steps]
    return np.concatenate([np.zeros(0, np.int64), *(one.reshape(-1) for one in found if one is not None)])


def _constants(step: Step, edge: Edge) -> NDArray[np.int64] | None:
    """The codes of a product's weights [K, N], or the integers that a step adds; None if it has none."""
    if isinstance(step, Product) and step.right is None:
        return np.concatenate([one.codes for one in step.weights], axis=1).astype(np.int64)
    return np.broadcast_to(step.constant, edge.shape) if isinstance(step, Combine) else None
