"""Places where the zero points of one operation are subtracted, as calibration chooses (docs/calibration.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ptqsim as pq
from ptqsim.ptq.network.products.blocked import plain_formats
from ptqsim.ptq.network.products.bounds import operation_bounds

if TYPE_CHECKING:
    from ptqsim.ptq.network.products.operations import MatmulOperation


def choose_datapath(op: MatmulOperation, fitted: pq.ZeroPoint | None = None) -> dict[str, Any] | None:
    """The place where zero points are subtracted, and the safe width of the register with either, as plain data.

    Correction needs nothing but a constant that is known with the weights where the right operand is constant and has
    no zero point itself. There it is chosen, unless it makes the register wider; everywhere else zero points are
    subtracted in front of the multiplier. Weights that were fitted to an accumulator keep its place.

    Parameters
    ----------
    op : MatmulOperation
        A calibrated operation.
    fitted : pq.ZeroPoint, optional
        Place of the accumulator that weights were fitted to, if they were.

    Returns
    -------
    dict or None
        ``zero_point``, "operand" or "correction", and ``bits`` by place; None where all zero points are 0.
    """
    if op.has_blocks:  # their codes have no zero points
        return None
    formats = op.formats
    assert formats is not None
    a, b = plain_formats(formats.a), plain_formats(formats.b)
    if not any(fmt.zero_point for fmt in (*a, *b)):
        return None
    bits = {
        str(place): min(bound.bits for bound in operation_bounds(op, place).values() if bound.kind == "theorem")
        for place in pq.ZeroPoint
    }
    known = op.constant_b is not None and not any(fmt.zero_point for fmt in b)
    place = "correction" if known and bits["correction"] <= bits["operand"] else "operand"
    if fitted is not None and op.constant_b is not None:
        place = str(fitted)
    return {"zero_point": place, "bits": bits}
