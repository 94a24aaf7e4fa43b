"""One register, one addition at a time, in plain Python integers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ptqsim.datapath.order import Split
from ptqsim.datapath.spec import Accumulator, OverflowMode


def fits(value: int, bits: int) -> bool:
    """True if a two's-complement register of `bits` bits holds `value`."""
    return -(1 << (bits - 1)) <= value < 1 << (bits - 1)


def wrap(value: int, bits: int) -> int:
    """The low `bits` bits of `value`, read as two's complement."""
    half = 1 << (bits - 1)
    return (value + half) % (2 * half) - half


def saturate(value: int, bits: int) -> int:
    """The value nearest to `value` that a register of `bits` bits holds."""
    half = 1 << (bits - 1)
    return min(max(value, -half), half - 1)


def add(register: int, term: int, bits: int, overflow: str) -> int:
    """One addition into a register of `bits` bits. Under ``trap`` the sum stays as it is, for the caller to report."""
    if overflow == OverflowMode.WRAP:
        return wrap(register + term, bits)
    if overflow == OverflowMode.SATURATE:
        return saturate(register + term, bits)
    return register + term


def plain(value: Any) -> Any:
    """The value, as a Python integer if it is one of NumPy's, which would wrap at the limits of their type."""
    return int(value) if hasattr(value, "dtype") else value


class Step(NamedTuple):
    """One addition into a register.

    `before` and `after` are what the register held and `term` is what was added; `exact` is what it would hold after
    this step had it never been bounded; `depth_index` is l of the (last) product that it brings in, -1 for the preload
    of a correction and K for its rest. `pair` is the pair of ranges that the register serves, (0, 0) unless deferred.
    """

    depth_index: int
    register: str
    bits: int
    pair: tuple[int, int]
    before: int
    term: int
    after: int
    exact: int

    @property
    def event(self) -> bool:
        """True if the sum did not fit the register."""
        return not fits(self.before + self.term, self.bits)


class Correction(NamedTuple):
    """The correction of the products of codes for their zero points, in one register; a part left out is None."""

    constant: int | None = None
    rest: int | None = None


def steps(
    products: Sequence[int], accumulator: Accumulator, pair: tuple[int, int] = (0, 0),
    correction: Correction = Correction(),  # noqa: B008 - immutable
) -> Iterator[Step]:  # fmt: skip
    """Every addition that accumulates `products` in one accumulator, in order; the last one leaves the result."""
    order, overflow, inner = accumulator.order, accumulator.overflow, accumulator.inner_overflow
    register = exact = 0
    if correction.constant is not None:
        exact, register = correction.constant, add(0, correction.constant, accumulator.bits, overflow)
        yield Step(-1, "accumulator", accumulator.bits, pair, 0, correction.constant, register, exact)
    for start in range(0, len(products), order.group):
        group = products[start : start + order.group]
        term = exact_term = sum(group)
        if isinstance(order, Split):
            term = exact_term = 0
            for index, product in enumerate(group, start):
                before, term = term, add(term, product, order.inner_bits, inner)
                exact_term += product
                yield Step(index, "inner", order.inner_bits, pair, before, product, term, exact_term)
        before, register = register, add(register, term, accumulator.bits, overflow)
        exact += exact_term
        last = start + len(group) - 1
        yield Step(last, "accumulator", accumulator.bits, pair, before, term, register, exact)
    if correction.rest is not None:
        before, register = register, add(register, correction.rest, accumulator.bits, overflow)
        exact += correction.rest
        yield Step(len(products), "accumulator", accumulator.bits, pair, before, correction.rest, register, exact)


def first_event(done: Sequence[Step]) -> Step | None:
    """The first step with an event; of the registers that fail at the same index the tile register comes first."""
    events = [step for step in done if step.event]
    return min(events, key=lambda step: (step.depth_index, step.register != "inner", step.pair), default=None)
