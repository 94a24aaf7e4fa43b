"""The width that the result of a datapath could need, with every sum on the way to it."""

from __future__ import annotations

from functools import lru_cache
from itertools import product

from ptqsim.datapath.bounds import corrects, datatype
from ptqsim.datapath.limits.sums import Side, of_one_product, sides
from ptqsim.datapath.spec import Accumulator, Alignment, ZeroPoint, bits_for
from ptqsim.formats.base import GridRange, NumberFormat


@lru_cache(maxsize=4096)
def result_bits(a_format: NumberFormat, b_format: NumberFormat, depth: int, accumulator: Accumulator) -> int:
    """Bits that the result of a datapath could need, or a sum on the way to it.

    With one register that is the exact sum, whatever the register holds of it. With deferred alignment the registers
    are shifted and summed, and one that overflowed can hold anything of its P bits.
    """
    places = {ZeroPoint.OPERAND, ZeroPoint(accumulator.zero_point)}
    every = product(places, (False, True))
    sums = max(datatype(a_format, b_format, depth, accumulator.alignment, *each).bits for each in every)
    if corrects(accumulator.zero_point, a_format, b_format):
        sums = max(sums, _rest_bits(a_format, b_format, depth))
    if accumulator.alignment != Alignment.DEFERRED:
        return sums
    low = high = 0
    corrected = corrects(accumulator.zero_point, a_format, b_format)
    for a_range, b_range in product(a_format.ranges(), b_format.ranges()):
        corners = [int(x) * int(w) for x, w in product(_ends(a_range), _ends(b_range))]
        own_low, own_high = depth * min(0, *corners), depth * max(0, *corners)
        a, b = Side(*_ends(a_range), a_format.zero_point), Side(*_ends(b_range), b_format.zero_point)
        if bits_for(*(depth * end for end in of_one_product(a, b, corrected, tile=False))) > accumulator.bits:
            own_low, own_high = accumulator.minimum, accumulator.maximum
        low += own_low << (a_range.shift + b_range.shift)
        high += own_high << (a_range.shift + b_range.shift)
    return max(bits_for(low, high), sums)


def _rest_bits(a_format: NumberFormat, b_format: NumberFormat, depth: int) -> int:
    """Bits of the rest of a correction, which is computed beside the register."""
    ends = [-b_format.zero_point * integer for a in sides(a_format, Alignment.PRODUCT) for integer in a.integers]
    return bits_for(depth * min(0, *ends), depth * max(0, *ends))


def _ends(grid_range: GridRange) -> tuple[int, int]:
    return int(grid_range.mantissa.min()), int(grid_range.mantissa.max())
