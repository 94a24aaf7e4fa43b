"""The loop that every group of steps is: which columns and depth it goes through, and what it keeps.

See `vector` for what a group is. What happens in a step is the matter of a `Steps`.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from ptqsim.kernels.codegen.emit import Emitter
from ptqsim.kernels.codegen.geometry import COLUMNS, ROWS
from ptqsim.kernels.runtime.machine import STATE_VECTORS

# Ranges are shared by the rows of a column.
_VECTORS_PER_REGISTER = {"nothing": 1.0, "ends": 1.0, "ranges": 1.5, "changes": 2.0}


class Limits(NamedTuple):
    """Constants of the inner register and of the outer one, and ones to count with, as vectors."""

    inner_low: Any
    inner_high: Any
    low: Any
    high: Any
    one: Any


class Steps:
    """Operations of a group in one step and after the last, for one vector of registers."""

    tracks: ClassVar[str] = "nothing"
    """``"changes"``: something kept for every register; ``"ends"``: the same, but for what happens in steps;
    ``"ranges"``: least and greatest sums of every column."""

    tallest: ClassVar[int] = 4
    """Most rows to take together. The fewer there are the less code there is, and the more often columns are loaded."""

    fewer: ClassVar[int] = 0
    """Up to so many vectors are code of their own, for the last columns of a matrix, which need no more of them."""

    def serves(self, emit: Emitter) -> bool:
        """True if it is ever needed in this type; otherwise no code is made."""
        return True

    def vectors(self, emit: Emitter) -> int:
        """Most vectors of registers to hold from step to step."""
        return STATE_VECTORS

    def begin(self, emit: Emitter, stored: Any, limits: Limits) -> Any:
        """Initial value of the inner register."""
        return emit.zero(emit.kind)

    def step(self, emit: Emitter, register: Any, x: Any, w: Any, tracked: Any, limits: Limits) -> tuple[Any, Any]:
        """The inner register after one product, and what is tracked."""
        raise NotImplementedError

    def end(self, emit: Emitter, stored: Any, register: Any, tracked: Any, limits: Limits) -> tuple[Any, Any]:
        """The outer register after the inner one was added to it, and what is tracked."""
        raise NotImplementedError


class Onward(Steps):
    """A mixture for steps that go on from the outer registers as they stand, and leave there what they end with.

    So a register that was loaded beforehand is the first of a sequence, where there is one register and no other.
    """

    def begin(self, emit: Emitter, stored: Any, limits: Limits) -> Any:
        """The stored register."""
        return stored

    def end(self, emit: Emitter, stored: Any, register: Any, tracked: Any, limits: Limits) -> tuple[Any, Any]:
        """The register as it is."""
        return register, tracked


# Vectors of columns taken together at most: in wider chunks more of what is computed would lie beyond the last column.
_WIDEST = {"nothing": 3, "ends": 3, "ranges": 2, "changes": 2}


def _chunk_sizes(steps: Steps, most: int, vectors: int) -> tuple[int, int]:
    """Rows and vectors of columns taken together: as few loads per step as the machine's registers allow.

    Ranges are widened once for all rows of a column.
    """
    room = int(vectors / _VECTORS_PER_REGISTER[steps.tracks])
    heights = [height for height in range(1, steps.tallest + 1) if ROWS % height == 0]
    widths = [width for width in range(1, _WIDEST[steps.tracks] + 1) if most % width == 0]
    sizes = [(height, width) for height in heights for width in widths if height * width <= room]
    widening = 2.0 if steps.tracks == "ranges" else 0.0
    return min(sizes, key=lambda size: (sum(size) / (size[0] * size[1]) + widening / size[0], -size[0]))


class _Arguments:
    """The arguments of a call, as LLVM values."""

    def __init__(self, emit: Emitter, context: Any, signature: Any, values: Any) -> None:
        builder, kinds = emit.builder, signature.args
        self.strips, self.panels, self.registers, self.more = (
            make_array(kinds[i])(context, builder, value=values[i]).data for i in (0, 4, 11, 12)
        )
        self.strip, self.start, self.stop, self.panel, self.columns = (
            context.cast(builder, values[i], kinds[i], types.intp) for i in (1, 2, 3, 5, 6)
        )
        scalars = [context.cast(builder, values[i], kinds[i], kinds[4].dtype) for i in (7, 8, 9, 10)]
        inner_low, inner_high, low, high = (emit.splat(scalar) for scalar in scalars)
        self.limits = Limits(inner_low, inner_high, low, high, emit.one())


class _Group:
    """The code of one kind of group."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps

    def generate(self, context: Any, builder: Any, signature: Any, values: Any) -> Any:
        """Loops over chunks of columns and rows, whose registers fit the machine's, and over the depth in each."""
        emit = Emitter(context, builder, signature.args[4].dtype)
        if not self.steps.serves(emit):
            return context.get_dummy_value()
        given = _Arguments(emit, context, signature, values)
        integer = given.start.type
        height, width = _chunk_sizes(self.steps, COLUMNS // emit.lanes, self.steps.vectors(emit))

        def rows(column: Any, width: int) -> None:
            first, stop, step = (ir.Constant(integer, number) for number in (0, ROWS, height))
            if height == ROWS:
                self._chunk(emit, given, first, column, height, width)
                return
            # Of a number of rounds that it knows, the optimizer would make that many copies of the code.
            with cgutils.for_range_slice(builder, first, emit.hidden(stop), step, integer) as (row, _):
                self._chunk(emit, given, row, column, height, width)

        def narrowest(column: Any, widths: list[int]) -> None:
            """The least of some widths that has all columns left, if one has; else the last."""
            if len(widths) == 1:
                rows(column, widths[0])
                return
            few = ir.Constant(integer, widths[0] * emit.lanes)
            fits = builder.icmp_signed("<=", builder.sub(given.columns, column), few)
            with builder.if_else(fits) as (then, otherwise):
                with then:
                    rows(column, widths[0])
                with otherwise:
                    narrowest(column, widths[1:])

        fewer = range(1, min(width, self.steps.fewer + 1))
        zero, chunk = ir.Constant(integer, 0), ir.Constant(integer, width * emit.lanes)
        with cgutils.for_range_slice(builder, zero, given.columns, chunk, integer) as (column, _):
            narrowest(column, [*fewer, width])
        return context.get_dummy_value()

    def _chunk(self, emit: Emitter, given: _Arguments, row: Any, column: Any, height: int, width: int) -> None:
        builder, integer, steps = emit.builder, column.type, self.steps
        offsets = [builder.add(column, ir.Constant(integer, v * emit.lanes)) for v in range(width)]
        lines = [builder.add(row, ir.Constant(integer, r)) for r in range(height)]
        cells = [(r, v) for r in range(height) for v in range(width)]
        where = {
            (r, v): builder.add(offsets[v], builder.mul(lines[r], ir.Constant(integer, COLUMNS))) for r, v in cells
        }

        def stored(cell: tuple[int, int]) -> Any:
            return emit.load(given.registers, where[cell], emit.kind)

        registers = {cell: emit.variable(steps.begin(emit, stored(cell), given.limits)) for cell in cells}
        tracked: dict[tuple[int, int], Any] = {}

        def track() -> None:
            for cell in cells:
                tracked[cell] = emit.variable(emit.load(given.more, where[cell], emit.counts))

        if steps.tracks == "changes":
            track()
        shared = [_Ranges(emit, given, offset) for offset in offsets] if steps.tracks == "ranges" else []
        if shared:
            tracked = {(r, v): shared[v] for r, v in cells}
        with cgutils.for_range_slice(builder, given.start, given.stop, ir.Constant(integer, 1), integer) as (k, _):
            first = builder.mul(builder.add(given.panel, k), ir.Constant(integer, COLUMNS))
            weights = [emit.load(given.panels, builder.add(first, offset), emit.kind) for offset in offsets]
            top = builder.mul(builder.add(given.strip, k), ir.Constant(integer, ROWS))
            for r in range(height):
                place = builder.gep(given.strips, [builder.add(top, lines[r])])
                x = emit.splat(builder.load(place))
                for v in range(width):
                    self._update(emit, registers[r, v], tracked.get((r, v)), lambda reg, seen: (
                        steps.step(emit, reg, x, weights[v], seen, given.limits)  # noqa: B023
                    ))  # fmt: skip
            for ranges in shared:
                ranges.widen(0)
        if steps.tracks == "ends":
            track()
        for cell in cells:
            before = stored(cell)
            self._update(emit, registers[cell], tracked.get(cell), lambda reg, seen: (
                steps.end(emit, before, reg, seen, given.limits)  # noqa: B023
            ))  # fmt: skip
            emit.store(builder.load(registers[cell]), given.registers, where[cell])
            if steps.tracks in ("changes", "ends"):
                emit.store(builder.load(tracked[cell]), given.more, where[cell])
        for ranges in shared:
            ranges.widen(2)
            ranges.save()

    def _update(self, emit: Emitter, register: Any, tracked: Any, change: Any) -> None:
        variable = tracked is not None and not isinstance(tracked, _Ranges)
        seen = emit.builder.load(tracked) if variable else tracked
        value, seen = change(emit.builder.load(register), seen)
        emit.builder.store(value, register)
        if variable:
            emit.builder.store(seen, tracked)


class _Ranges:
    """Least and greatest inner sums (rows 0 and 1 of `more`) and outer sums (rows 2 and 3) of a vector of columns."""

    def __init__(self, emit: Emitter, given: _Arguments, offset: Any) -> None:
        self.emit, self.more = emit, given.more
        builder = emit.builder
        self.places = [builder.add(offset, ir.Constant(offset.type, i * COLUMNS)) for i in range(4)]
        self.held = [emit.variable(emit.load(self.more, place, emit.kind)) for place in self.places]
        self.seen: list[Any] = []

    def see(self, value: Any) -> None:
        """Remember a sum of one of the rows until `widen` is called."""
        self.seen.append(value)

    def widen(self, first: int) -> None:
        """Take the sums seen into account, in the rows `first` and `first` + 1."""
        for place, choose in zip(self.held[first : first + 2], (self.emit.smaller, self.emit.larger), strict=True):
            values = self.seen
            while len(values) > 1:  # in pairs: one after the other, each would wait for the one before
                pairs = zip(values[::2], values[1::2], strict=False)
                values = [choose(x, y) for x, y in pairs] + values[len(values) // 2 * 2 :]
            self.emit.builder.store(choose(self.emit.builder.load(place), values[0]), place)
        self.seen = []

    def save(self) -> None:
        """Put them back into memory."""
        for place, held in zip(self.places, self.held, strict=True):
            self.emit.store(self.emit.builder.load(held), self.more, place)


def compiled(steps: Steps) -> Any:
    """The group of these steps, callable from compiled code; see `vector` for its arguments."""
    group = _Group(steps)

    @intrinsic
    def call(  # type: ignore[no-untyped-def]
        typing_context,
        strips, strip, start, stop, panels, panel, columns, inner_low, inner_high, low, high, registers, more,
    ):  # fmt: skip
        kinds = (
            strips, strip, start, stop, panels, panel, columns, inner_low, inner_high, low, high, registers, more
        )  # fmt: skip
        return types.void(*kinds), group.generate

    return call
