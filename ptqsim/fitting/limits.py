"""Limits on the sums of the positive and of the negative weights of one output, under which no register overflows."""

from __future__ import annotations

from dataclasses import dataclass

from ptqsim.datapath.bounds import corrects
from ptqsim.datapath.limits.sums import Side, sides
from ptqsim.datapath.order import Split
from ptqsim.datapath.spec import Accumulator
from ptqsim.formats.base import NumberFormat
from ptqsim.formats.uniform import Uniform


@dataclass(frozen=True, slots=True, order=True)
class Limit:
    """One inequality: positive * W+ + negative * W- <= budget.

    W+ is the sum of the positive aligned weights of one output that a register serves, and W- that of the negated
    negative ones.

    Parameters
    ----------
    positive, negative : int
        Largest magnitude of an input that a positive, and that a negative weight meets; not negative.
    budget : int
        The end of the register that the sum must not pass, as a magnitude.
    """

    positive: int
    negative: int
    budget: int

    def holds(self, positive_sum: int, negative_sum: int) -> bool:
        """True if weights with these sums keep it."""
        return self.positive * positive_sum + self.negative * negative_sum <= self.budget


@dataclass(frozen=True, slots=True)
class RegisterLimits:
    """Every limit that a column of weights has to keep.

    Parameters
    ----------
    whole : tuple of Limit
        Limits of the P-bit register, for all weights of an output.
    tiles : tuple of Limit
        Limits of the tile register, for the weights of each tile; none without a split order.
    tile : int or None
        Weights of a tile.
    """

    whole: tuple[Limit, ...]
    tiles: tuple[Limit, ...] = ()
    tile: int | None = None

    @property
    def every(self) -> tuple[Limit, ...]:
        """The limits that a single weight has to keep."""
        return (*self.whole, *self.tiles)

    def largest(self) -> tuple[int, int]:
        """Largest magnitude of a positive, and of a negative weight that is alone; 2**63 - 1 if nothing limits it."""
        return tuple(
            min((limit.budget // factor for limit, factor in pairs if factor), default=(1 << 63) - 1)
            for pairs in (
                [(limit, limit.positive) for limit in self.every],
                [(limit, limit.negative) for limit in self.every],
            )
        )  # type: ignore[return-value]


def register_limits(a_format: NumberFormat, b_format: NumberFormat, accumulator: Accumulator) -> RegisterLimits:
    """The limits on the weights of one output that are necessary and sufficient for no input to overflow.

    Parameters
    ----------
    a_format : NumberFormat
        Shift-alignable format of the inputs.
    b_format : Uniform
        Format of the weights.
    accumulator : Accumulator
        The datapath; its overflow mode does not matter.

    Raises
    ------
    ValueError
        If the weights are not uniform, or have a zero point that the accumulator corrects.
    """
    if not isinstance(b_format, Uniform):
        raise ValueError(f"weights of format {b_format.short()} were to be fitted; legal are Uniform weights")
    if corrects(accumulator.zero_point, b_format):
        raise ValueError(
            f"weights with a zero point of {b_format.zero_point} were to be fitted to an accumulator that corrects it; "
            "legal is a zero point of 0, as the inputs alone could fill the register: take symmetric weights, or "
            "zero_point='operand'"
        )
    inputs = sides(a_format, accumulator.alignment)
    # Of the P-bit register corrections change nothing: between preload and rest it holds the sum of a subset of the
    # products of aligned values, with inputs that are code 0 in the others (docs/fitted_weights.md).
    whole = _limits([(a.low, a.high) for a in inputs], accumulator.bits)
    if not isinstance(accumulator.order, Split):
        return RegisterLimits(whole)
    raw = corrects(accumulator.zero_point, a_format)
    ends = [_around_zero(a) if raw else (a.low, a.high) for a in inputs]
    return RegisterLimits(whole, _limits(ends, accumulator.order.inner_bits), accumulator.order.tile)


def _around_zero(side: Side) -> tuple[int, int]:
    low, high = side.integers
    return min(0, low), max(0, high)


def _limits(ends: list[tuple[int, int]], bits: int) -> tuple[Limit, ...]:
    """Limits of both ends of a register, for inputs between each pair of ends; those that another implies left out.

    The greatest sum is high * W+ - low * W-, the least low * W+ - high * W- (docs/bounds.md, weight-aware).
    """
    half = 1 << (bits - 1)
    found = {Limit(high, -low, half - 1) for low, high in ends} | {Limit(-low, high, half) for low, high in ends}
    return tuple(sorted(one for one in found if not any(_implies(other, one) for other in found if other != one)))


def _implies(limit: Limit, other: Limit) -> bool:
    """True if every pair of sums that keeps `limit` keeps `other`."""
    return limit.positive >= other.positive and limit.negative >= other.negative and limit.budget <= other.budget
