"""From the steps of a plan to the program of a block."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptqsim.datapath.spec import Accumulator
from ptqsim.formats.base import NumberFormat
from ptqsim.formats.uniform import Uniform
from ptqsim.integer_only import Apply, Combine, Edge, Product
from ptqsim.integer_only.steps import spread
from ptqsim.rtl.encoder.loops import Loops, loops_of
from ptqsim.rtl.encoder.memory_map import MemoryMap
from ptqsim.rtl.encoder.part import Part
from ptqsim.rtl.encoder.program import Instruction, Program, Read, SumTarget, TileTarget, UnitTarget
from ptqsim.rtl.hardware.unit import Unit

NOWHERE = Loops(0, ((1, 0),), ((1, 0),))
"""Addresses of an input that an instruction does not have."""


def assemble(part: Part, places: MemoryMap, accumulators: Mapping[str, Accumulator], columns: int) -> Program:
    """The program of a part of a plan.

    Parameters
    ----------
    part : Part
        The steps.
    places : MemoryMap
        Where their edges lie.
    accumulators : mapping of str to Accumulator
        Of every product.
    columns : int
        Columns of a tile.
    """
    tiles = _Tiles(part, accumulators)
    units: dict[str, UnitTarget | SumTarget] = {}
    instructions: list[Instruction] = []
    numbers = {name: number for number, name in enumerate(tiles.targets)}
    for step in part.steps:
        if isinstance(step, Product):
            instructions += _product(step, part, places, tiles, numbers, columns)
        elif isinstance(step, Apply):
            instructions += _apply(step, part, places, units, len(numbers))
        elif isinstance(step, Combine):
            instructions += _combine(step, part, places, units, len(numbers))
    return Program((*tiles.targets.values(), *units.values()), tuple(instructions))


class _Tiles:
    """One tile for every pair of operands that differ in shifts and scales at most, and every accumulator."""

    def __init__(self, part: Part, accumulators: Mapping[str, Accumulator]) -> None:
        self._part, self._accumulators = part, accumulators
        groups: dict[str, list[tuple[NumberFormat, NumberFormat, Accumulator, int]]] = {}
        for step in part.steps:
            if isinstance(step, Product):
                for a, b in self.operands(step):
                    depth = part.edges[step.left].shape[-1]
                    groups.setdefault(self.key(step, a, b), []).append((a, b, accumulators[step.name], depth))
        self.targets: dict[str, TileTarget] = {}
        for key, found in groups.items():
            a, b = (_widest([one[side] for one in found]) for side in (0, 1))  # type: ignore[misc]
            several = any(len({one[side].shift for one in found}) > 1 for side in (0, 1))  # type: ignore[union-attr]
            unit = Unit(a, b, found[0][2], max(one[3] for one in found), several)
            like = sum(one.unit.a.kind == a.kind for one in self.targets.values())
            self.targets[key] = TileTarget(f"{a.kind}_{like}" if like else a.kind, unit)

    def operands(self, step: Product) -> list[tuple[NumberFormat, NumberFormat]]:
        """Formats of both operands of every matrix, or of every group of weights."""
        edges = self._part.edges
        left = edges[step.left].formats
        if step.right is None:
            return [(left[0], one.format) for one in step.weights]
        count = edges[step.left].shape[0]
        return list(zip(spread(left, count), spread(edges[step.right].formats, count), strict=True))

    def key(self, step: Product, a: NumberFormat, b: NumberFormat) -> str:
        """The properties that products on one tile have in common."""
        return json.dumps([_meaning(a), _meaning(b), self._accumulators[step.name].to_dict()], sort_keys=True)


def _meaning(number_format: NumberFormat) -> dict[str, Any]:
    fields = number_format.unscaled().to_dict()
    return {name: value for name, value in fields.items() if name not in ("scale", "shift", "axis")}


def _widest(formats: Sequence[NumberFormat]) -> NumberFormat:
    """The format with the greatest shift, of one scale."""
    found = max(formats, key=lambda one: one.shift).unscaled()
    return replace(found, scale=1.0) if isinstance(found, Uniform) else found


def _product(
    step: Product, part: Part, places: MemoryMap, tiles: _Tiles, numbers: Mapping[str, int], columns: int
) -> list[Instruction]:
    """An instruction for every matrix and every `columns` columns of it."""
    shape, operands = part.edges[step.name].shape, tiles.operands(step)
    left, out = places.addresses[step.left], places.addresses[step.name]
    found = []
    if step.right is None:
        a, b = operands[0]
        keys = {tiles.key(step, *pair) for pair in operands}
        if len(keys) > 1:
            raise ValueError(f"the weights of {step.name!r} are of several widths; legal in a block is one format")
        region = next(one for one in places.weights if one.name == step.name)
        matrices = [((), left.reshape(-1, left.shape[-1]), out.reshape(-1, shape[-1]), a, b)]
        right = [np.arange(region.base, region.base + region.words, dtype=np.int64).reshape(left.shape[-1], -1)]
    else:
        whole = places.addresses[step.right]
        whole = whole.swapaxes(-1, -2) if step.transposed else whole
        indices = list(np.ndindex(*shape[:-2]))
        matrices = [(index, left[index], out[index], *operands[index[0]]) for index in indices]
        right = [whole[index] for index in indices]
    for (index, rows, results, a, b), weights in zip(matrices, right, strict=True):
        number = numbers[tiles.key(step, a, b)]
        for start in range(0, results.shape[-1], columns):
            taken = results[:, start : start + columns]
            walks = (_loops(step.name, one) for one in (rows, weights[:, start : start + columns], taken))
            left_walk, right_walk, out_walk = walks
            found.append(
                Instruction(
                    step.name, (*index, start), number, left_walk, right_walk, out_walk,
                    weights=step.right is None, shifts=(a.shift, b.shift), macs=rows.size * taken.shape[1],
                )
            )  # fmt: skip
    return found


def _apply(
    step: Apply, part: Part, places: MemoryMap, units: dict[str, UnitTarget | SumTarget], first: int
) -> list[Instruction]:
    """An instruction for every unit of a step; units that are alike are one target."""
    count, length = len(step.units), part.edges[step.name].shape[-1]
    reads = tuple(_read(part.edges[name]) for name in step.sources)
    tables = [
        _rows(places.addresses[name], count, length) for name in (*step.sources, step.name)
    ]  # fmt: skip
    found = []
    for index, unit in enumerate(step.units):
        key = json.dumps([unit.to_dict(), [(one.bits, one.signed) for one in reads]], sort_keys=True)
        name = step.name.removeprefix(part.name).replace(".", "_") + (f"_{index}" if count > 1 else "")
        units.setdefault(key, UnitTarget(name, unit, reads, length))
        each = [_loops(step.name, table[index]) for table in tables]
        a, b, out = each if len(each) == 3 else (each[0], NOWHERE, each[1])
        where = (index,) if count > 1 else ()
        found.append(Instruction(step.name, where, first + list(units).index(key), a, b, out))
    return found


def _combine(
    step: Combine, part: Part, places: MemoryMap, units: dict[str, UnitTarget | SumTarget], first: int
) -> list[Instruction]:
    """An instruction for the rows that have integers, and one for those of zeros in front of them."""
    length = part.edges[step.name].shape[-1]
    a, out = (places.addresses[name].reshape(-1, length) for name in (step.sources[0], step.name))
    region = next(one for one in places.weights if one.name == step.name)
    constants = np.arange(region.base, region.base + region.words, dtype=np.int64).reshape(-1, length)
    reads = (_read(part.edges[step.sources[0]]), Read(region.bits, True))
    found = []
    for padded in (True, False):
        rows = (a < 0).all(axis=1) if padded else (a >= 0).all(axis=1)
        if not rows.any():
            continue
        name = step.name.removeprefix(part.name).replace(".", "_") + ("_constant" if padded else "_sum")
        units[name] = SumTarget(name, reads[1:] if padded else reads)
        number = first + list(units).index(name)
        left = NOWHERE if padded else _loops(step.name, a[rows])
        added, result = (_loops(step.name, table[rows]) for table in (constants, out))
        found.append(Instruction(step.name, (int(not padded),), number, left, added, result, weights=True))
    return found


def _rows(addresses: NDArray[np.int64], count: int, length: int) -> NDArray[np.int64]:
    return addresses.reshape(count, -1, length)


def _read(edge: Edge) -> Read:
    """The way from a word of an edge to the integer that it stands for.

    Raises
    ------
    ValueError
        If they are codes of another format than `Uniform` without a zero point.
    """
    if not edge.coded:
        return Read(edge.bits, True)
    if any(not isinstance(fmt, Uniform) or fmt.zero_point for fmt in edge.formats):
        raise ValueError(f"a unit takes {edge}; legal in a block are integers and Uniform codes without a zero point")
    return Read(edge.format.bits, edge.format.signed)  # type: ignore[attr-defined]


def _loops(name: str, table: NDArray[np.int64]) -> Loops:
    try:
        return loops_of(table)
    except ValueError as error:
        raise ValueError(f"step {name!r} can't be generated: {error}") from None
