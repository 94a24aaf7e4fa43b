"""Programs of plans, kept from one execution to the next."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from ptqsim.datapath.spec import Accumulator, Alignment
from ptqsim.integer_only.plan import Plan
from ptqsim.integer_only.program import Program, has_program, joined_weights

WORKING_BYTES: Final = 1 << 21
"""About the memory of the widest step of as many images as run together: more would leave the caches."""

KEPT: Final = 4
"""Kinds of programs kept of a plan."""


class _Programs:
    """The programs of a plan that nobody runs at the moment, and the weights of all."""

    def __init__(self, plan: Plan) -> None:
        self.weights = joined_weights(plan)
        widest = max(math.prod(edge.shape) for edge in plan.edges.values())
        self.most = max(1, WORKING_BYTES // (widest * np.dtype(np.int32).itemsize))
        self.idle: dict[Hashable, list[Program]] = {}

    def take(self, plan: Plan, count: int, accumulators: Mapping[str, Accumulator], key: Hashable) -> Program:
        """One that nobody else runs."""
        try:
            return self.idle[key].pop()
        except (KeyError, IndexError):
            return Program(plan, count, accumulators, self.weights)

    def put(self, key: Hashable, program: Program) -> None:
        """Keep a program for the next execution."""
        while len(self.idle) >= KEPT and key not in self.idle:
            self.idle.pop(next(iter(self.idle)), None)
        self.idle.setdefault(key, []).append(program)


_known: WeakKeyDictionary[Plan, _Programs] = WeakKeyDictionary()


def run_programs(
    plan: Plan, pixels: NDArray[np.uint8], accumulators: Mapping[str, Accumulator]
) -> NDArray[np.int64] | None:
    """Logits, some images at a time; None if not everything is proven before the values are seen."""
    if not all(map(within_bounds, accumulators.values())) or not has_program(plan, accumulators):
        return None
    programs = _known.get(plan)
    if programs is None:
        programs = _known[plan] = _Programs(plan)
    times = -(-len(pixels) // programs.most)
    names, found = _key(accumulators), []
    for part in np.array_split(pixels, times):
        key = len(part), names
        program = programs.take(plan, len(part), accumulators, key)
        found.append(program(part))
        programs.put(key, program)
    return found[0] if len(found) == 1 else np.concatenate(found)


def within_bounds(accumulator: Accumulator) -> bool:
    """True if what the register ends with fits its width or the exact bound: not so where it is a sum of registers."""
    return getattr(accumulator.order, "inner_bits", None) is None and accumulator.alignment != Alignment.DEFERRED


def _key(accumulators: Mapping[str, Accumulator]) -> Hashable:
    """Accumulators by name; one for all, as is usual, is told by itself."""
    each = {id(one): one for one in accumulators.values()}
    if len(each) == 1:
        return frozenset(accumulators), *each.values()
    return frozenset(accumulators.items())
