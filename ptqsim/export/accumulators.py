"""Accumulators of a plan's products, for programs that add in one sequence or know no overflow at all."""

from __future__ import annotations

from ptqsim.common.choice import Choice
from ptqsim.datapath.order import Sequential
from ptqsim.datapath.spec import Accumulator, OverflowMode, ZeroPoint
from ptqsim.integer_only.edges import Edge


class Bounding(Choice):
    """Places in which a sum is taken to the width of its register.

    ``never``: the plan proves that nothing overflows. ``once``: at the end, as a register that wraps. ``by_step``:
    after every addition, in sequence.
    """

    NEVER = "never"
    ONCE = "once"
    BY_STEP = "by_step"


def bounding(edge: Edge, accumulator: Accumulator, program: str) -> Bounding:
    """The place in which the sums of a product have to be bounded.

    Raises
    ------
    ValueError
        If the product can overflow an accumulator that adds in another order, with deferred shifts or corrections.
    """
    inner = getattr(accumulator.order, "inner_bits", None)
    corrected = accumulator.zero_point == ZeroPoint.CORRECTION
    if edge.bits <= min(accumulator.bits, inner or accumulator.bits) and not corrected:
        return Bounding.NEVER
    if not isinstance(accumulator.order, Sequential) or accumulator.alignment == "deferred" or corrected:
        raise ValueError(
            f"product {edge.name!r} can overflow {accumulator}, and {program} adds in sequence, without deferred "
            f"shifts and corrections; take such an accumulator, or one of {edge.bits} bits"
        )
    return Bounding.ONCE if accumulator.overflow == OverflowMode.WRAP else Bounding.BY_STEP
