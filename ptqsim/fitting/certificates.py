"""The certificate that weights fit: the weight-aware bound of every register (docs/bounds.md)."""

from __future__ import annotations

import numpy as np

from ptqsim.common.validation import checked_type
from ptqsim.datapath import bounds
from ptqsim.datapath.limits.bound import Bound
from ptqsim.datapath.order import Split
from ptqsim.datapath.spec import Accumulator
from ptqsim.formats.array import QuantizedArray
from ptqsim.formats.base import NumberFormat


def certificate(a_format: NumberFormat, weights: QuantizedArray, accumulator: Accumulator) -> dict[str, Bound]:
    """Bounds of the registers of an accumulator: nothing outside can occur, whatever the inputs are.

    Parameters
    ----------
    a_format : NumberFormat
        Shift-alignable format of the inputs.
    weights : QuantizedArray
        The right operand, [K, N].
    accumulator : Accumulator
        The datapath; its width plays no part.

    Returns
    -------
    dict of str to Bound
        ``"accumulator"``, and with a split order ``"inner"``: the extremes over the tiles, each with its own weights.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        As for :func:`ptqsim.bounds.weight_aware`.
    """
    checked_type("accumulator", accumulator, Accumulator)
    place = accumulator.alignment, accumulator.zero_point
    found = {"accumulator": bounds.weight_aware(a_format, weights, *place)}
    order = accumulator.order
    if isinstance(order, Split):
        starts = range(0, max(1, weights.shape[-2]), order.tile)
        tiles = [
            bounds.weight_aware(a_format, weights[..., start : start + order.tile, :], *place, tile=True)
            for start in starts
        ]
        lowest, highest = min(tile.lowest for tile in tiles), max(tile.highest for tile in tiles)
        widths = np.maximum.reduce([tile.per_output for tile in tiles if tile.per_output is not None])
        why = f"the widest of {len(tiles)} tiles of {order.tile} weights, whose sums are between {lowest} and {highest}"
        found["inner"] = Bound("weight_aware", "theorem", lowest, highest, why, widths)
    return found


def fits(a_format: NumberFormat, weights: QuantizedArray, accumulator: Accumulator) -> bool:
    """True if no input can overflow a register; the arguments and errors are those of `certificate`."""
    found = certificate(a_format, weights, accumulator)
    return all(found[name].bits <= bits for name, bits in register_widths(accumulator).items())


def register_widths(accumulator: Accumulator) -> dict[str, int]:
    """Width of each register of an accumulator, by the names that `certificate` has for them."""
    order = accumulator.order
    return {"accumulator": accumulator.bits} | ({"inner": order.inner_bits} if isinstance(order, Split) else {})
