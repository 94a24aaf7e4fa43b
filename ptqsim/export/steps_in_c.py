"""Steps of a plan as statements in C, on arrays of 64-bit integers in C order."""

from __future__ import annotations

from math import prod

import numpy as np

from ptqsim.datapath.spec import Accumulator
from ptqsim.export.accumulators import Bounding, bounding
from ptqsim.export.constants import Constants
from ptqsim.export.units_in_c import call_of, format_in_c
from ptqsim.integer_only import Apply, Combine, Move, Plan, Product, Step, Total
from ptqsim.integer_only.edges import Edge
from ptqsim.integer_only.moves import table_of
from ptqsim.integer_only.steps import spread


class StepsInC:
    """Statements of one step after the other; the arrays of edges are ``arena + offset``."""

    def __init__(self, plan: Plan, accumulators: dict[str, Accumulator], offsets: dict[str, int]) -> None:
        self.plan = plan
        self.constants = Constants()
        self._accumulators = accumulators
        self._offsets = offsets

    def statements(self, step: Step) -> list[str]:
        """The statements of a step."""
        if isinstance(step, Product):
            return self._product(step)
        if isinstance(step, Apply):
            return self._apply(step)
        if isinstance(step, Combine):
            return self._combine(step)
        if isinstance(step, Total):
            return self._total(step)
        return self._move(step)

    def _at(self, name: str) -> str:
        return f"arena + {self._offsets[name]}"

    def _edge(self, name: str) -> Edge:
        return self.plan.edges[name]

    def _aligned(self, name: str, room: int) -> tuple[list[str], str]:
        """Statements that put what codes stand for into a room, and where it is; integers are where they are."""
        edge = self._edge(name)
        if not edge.coded:
            return [], self._at(name)
        size = prod(edge.shape) // len(edge.formats)
        made = [
            f"align(room{room} + {g * size}, {self._at(name)} + {g * size}, {size}, &{fmt});"
            for g, fmt in enumerate(format_in_c(one, self.constants) for one in edge.formats)
        ]
        return made, f"room{room}"

    def _product(self, step: Product) -> list[str]:
        shape, left = self._edge(step.name).shape, self._edge(step.left)
        made, a = self._aligned(step.left, 0)
        k, n = left.shape[-1], shape[-1]
        acc = self._accumulator(step)
        if step.right is None:
            # Columns side by side, as rows: what one output needs lies together.
            columns = np.concatenate([one.aligned().T for one in step.weights])
            largest = max(int(columns.max()), ~int(columns.min()))
            size = next(bits for bits in (8, 16, 32, 64) if largest < 1 << (bits - 1))
            weights = self.constants.array(columns, f"int{size}_t")
            rows = prod(left.shape) // k
            return [*made, f"product_{size}({self._at(step.name)}, {a}, {weights}, {rows}, {n}, {k}, &{acc});"]
        more, b = self._aligned(step.right, 1)
        count = prod(shape[:-2])
        steps = (k, 1) if step.transposed else (1, n)  # from a column to the next, and within it
        arguments = f"{count}, {shape[-2]}, {n}, {k}, {steps[0]}, {steps[1]}"
        return [*made, *more, f"product({self._at(step.name)}, {a}, {b}, {arguments}, &{acc});"]

    def _accumulator(self, step: Product) -> str:
        """The struct of a product's accumulator; one whose sums C would not give is a ValueError."""
        accumulator = self._accumulators[step.name]
        by_step = int(bounding(self._edge(step.name), accumulator, "the C model") == Bounding.BY_STEP)
        fields = f"{accumulator.bits}, {str(accumulator.overflow).upper()}, {by_step}"
        return self.constants.struct("accumulator", "acc", fields)

    def _apply(self, step: Apply) -> list[str]:
        edge = self._edge(step.name)
        made, inputs = [], []
        for room, name in enumerate(step.sources):
            more, place = self._aligned(name, room)
            made += more
            inputs.append(place)
        n = edge.shape[-1]
        size = prod(edge.shape) // len(step.units)
        for group, unit in enumerate(step.units):
            function, constant = call_of(unit, self.constants)
            places = ", ".join(f"{place} + {group * size} + row * {n}" for place in (self._at(step.name), *inputs))
            made.append(f"for (row = 0; row < {size // n}; row++) {function}({places}, {n}, &{constant});")
        return made

    def _combine(self, step: Combine) -> list[str]:
        shape = self._edge(step.name).shape
        constant = np.broadcast_to(step.constant, shape)
        wide = np.abs(constant).max() >= 1 << 31
        name = self.constants.array(constant, "integer" if wide else "int32_t")
        out, size = self._at(step.name), prod(shape)
        made = []
        for place, (source, factors) in enumerate(zip(step.sources, step.multipliers, strict=True)):
            more, x = self._aligned(source, 0)
            every = self.constants.array(spread(factors, shape[-1]))
            start = f"{name}[j]" if place == 0 else f"({out})[j]"
            made += more
            made.append(f"for (j = 0; j < {size}; j++) ({out})[j] = {start} + ({x})[j] * {every}[j % {shape[-1]}];")
        return made

    def _total(self, step: Total) -> list[str]:
        edge = self._edge(step.source)
        made, x = self._aligned(step.source, 0)
        after = prod(edge.shape[step.axis + 1 :])
        before, count = prod(edge.shape[: step.axis]), edge.shape[step.axis]
        return [*made, f"total({self._at(step.name)}, {x}, {before}, {count}, {after});"]

    def _move(self, step: Move) -> list[str]:
        table = table_of(self._edge(step.source).shape, step.moves)
        name = self.constants.array(table, "int32_t")
        return [f"move({self._at(step.name)}, {self._at(step.source)}, {name}, {table.size});"]
