"""From halves to a code: the last stage of every unit.

With n / d the exact quotient in units of the finest step of the output format, a code depends on ``h = floor(2 n / d)``
alone, except where the nearest of two ranges is taken; there it also depends on the remainder being zero or not. As
``floor(n / d + 1/2)`` is ``(h + 1) >> 1``, one shift or one division serves every range of a format.
"""

from __future__ import annotations

from typing import Final

from ptqsim.formats.base import NumberFormat
from ptqsim.formats.rounding import RangeChoice
from ptqsim.formats.twin import TwinGELU, TwinSoftmax
from ptqsim.formats.uniform import Uniform
from ptqsim.rtl.hardware.requantization.parts import clamped
from ptqsim.rtl.hardware.verilog import Module, Port, Signal, inp, out, wire
from ptqsim.rtl.units.body import Body, at, compared
from ptqsim.units.interval import Interval

NEVER: Final = "1'b0"
"""A condition that does not hold."""


def code_port(name: str, number_format: NumberFormat) -> Port:
    """The output of a code."""
    signed = isinstance(number_format, Uniform) and number_format.signed
    return out(name, number_format.bits, f"{number_format.kind} code", signed=signed)


def needs_remainder(number_format: NumberFormat) -> bool:
    """True if a code depends on a remainder, since it is that of the nearer of two ranges."""
    return getattr(number_format, "range_choice", None) == RangeChoice.NEAREST


def halves_of_shift(scaled: Interval, shift: int) -> Interval:
    """The integers that ``floor(2 n / 2**shift)`` can be."""
    return Interval(*(2 * end >> shift if shift > 0 else 2 * end << -shift for end in (scaled.lowest, scaled.highest)))


def encoder(name: str, number_format: NumberFormat, halves: Interval) -> Module:
    """The combinational module from ``floor(2 n / d)`` to the code of n / d."""
    body = Body(name)
    given = body.signal("halves", halves, signed=True)
    k, m = number_format.bits, number_format.shift
    if isinstance(number_format, Uniform):
        formula = _uniform(body, number_format, given, halves)
    elif isinstance(number_format, TwinSoftmax):
        formula = (_softmax_nearest if needs_remainder(number_format) else _softmax)(body, k, m, given, halves)
    else:
        assert isinstance(number_format, TwinGELU)
        formula = _gelu(body, k, m, given, halves, needs_remainder(number_format))
    header = f"""
        Code of a quotient in {number_format.short()}, from halves of its steps.

          {formula.strip()}
    """
    ports = (
        inp("halves", given.bits, "floor(2 n / d)", signed=True),
        *([inp("inexact", 0, "2 n / d is no integer")] if needs_remainder(number_format) else []),
        code_port("code", number_format),
    )
    return Module(name, header, ports, body.render())


def _rounded(body: Body, name: str, given: Signal, interval: Interval, signed: bool = True) -> Signal:
    """``(given + 1) >> 1``."""
    nudged = body.sum(f"{name}_nudged", interval + Interval(1, 1), given, 1, signed=signed)
    ends = Interval((interval.lowest + 1) >> 1, (interval.highest + 1) >> 1)
    return body.shifted(name, ends, nudged, 1, signed=signed)


def _uniform(body: Body, number_format: Uniform, given: Signal, halves: Interval) -> str:
    rounded = _rounded(body, "rounded", given, halves)
    body.add(clamped(rounded, number_format.bits, number_format.signed, number_format.zero_point))
    low, high, zero_point = number_format.aligned_min, number_format.aligned_max, number_format.zero_point
    moved = "" if not zero_point else f" {'+' if zero_point > 0 else '-'} {abs(zero_point)}"
    return f"""
          rounded = (halves + 1) >> 1
          code = (clamp(rounded, {low}, {high}){moved}) mod 2^{number_format.bits}
"""


def _magnitude(body: Body, k: int, rounded: Signal, highest: int) -> Signal:
    """The least of the magnitude and the greatest one of k - 1 bits."""
    top = (1 << (k - 1)) - 1
    return body.least("magnitude", Interval(0, min(top, highest)), rounded, top) if highest > top else rounded


def _softmax(body: Body, k: int, m: int, given: Signal, halves: Interval) -> str:
    """Of R2 from 2^-m on; a value that both ranges have has the code of R1."""
    top, highest = (1 << (k - 1)) - 1, max(0, halves.highest)
    positive = Interval(0, highest)
    negative = f"{given.name}[{given.bits - 1}]"
    low = body.let("positive", positive, f"{negative} ? {at(0, positive.bits)} : {given.to(positive.bits)}")
    second = highest >= 1 << k
    body.add(f"wire flag = {compared(low, '>=', 1 << k) if second else NEVER};")
    chosen, interval = low, positive
    if second:
        interval = Interval(0, max((1 << k) - 1, highest >> m))
        coarse = body.shifted("coarse", Interval(0, highest >> m), low, m, keep=True)
        chosen = body.choice("chosen", interval, "flag", coarse, low)
    rounded = _rounded(body, "rounded", chosen, interval, signed=False)
    magnitude = _magnitude(body, k, rounded, (interval.highest + 1) >> 1)
    body.add(f"wire shared = {compared(magnitude, '<=', top >> m)};  // both ranges have this value")
    body.add(f"assign code = {{flag & ~shared, {magnitude.to(k - 1)}}};")
    return f"""
          flag = halves >= 2^{k}
          rounded = ((flag ? halves >> {m} : max(halves, 0)) + 1) >> 1
          magnitude = min(rounded, 2^{k - 1} - 1)
          code = magnitude + (flag and magnitude > {top >> m} ? 2^{k - 1} : 0)
"""


def _softmax_nearest(body: Body, k: int, m: int, given: Signal, halves: Interval) -> str:
    """R2 where it is nearer than R1: where the quotient lies beyond the middle of the two."""
    top, highest = (1 << (k - 1)) - 1, max(0, halves.highest)
    negative = f"{given.name}[{given.bits - 1}]"
    positive = Interval(0, highest)
    low = body.let("floor", positive, f"{negative} ? {at(0, positive.bits)} : {given.to(positive.bits)}")
    above = Interval(0, highest + 1)
    body.add(f"wire above = inexact & ~{negative};")
    high = body.sum("ceiling", above, low, Signal("above", 1))
    fine = body.shifted("fine", Interval(0, above.highest >> 1), high, 1, keep=True)
    spread = Interval(0, above.highest + (1 << m) - 1)
    nudged = body.sum("coarse_nudged", spread, high, (1 << m) - 1)
    coarse = body.shifted("coarse", Interval(0, spread.highest >> m >> 1), nudged, m + 1)
    ends = Interval(0, top)
    body.drop("ceiling_fraction", "ceiling[0]")
    r1 = body.least("r1", ends, fine, top) if fine.bits >= k else fine
    r2 = body.least("r2", ends, coarse, top) if coarse.bits >= k else coarse
    far = body.shifted("second", Interval(0, top << m), r2, -m)
    middle = body.sum("middle", Interval(0, (top << m) + top), far, r1)
    # A value of R2 below that of R1 is never nearer, as that is less than half a step of R1 away or the greatest of R1.
    body.add(f"wire nearer = {compared(far, '>', r1)} & {compared(high, '>', middle)};")
    body.add(f"assign code = nearer ? {{1'b1, {r2.to(k - 1)}}} : {{1'b0, {r1.to(k - 1)}}};")
    return f"""
          r1 = min(2^{k - 1} - 1, ceil(2 n / d) >> 1), r2 = min(2^{k - 1} - 1, ceil(2 n / (d 2^{m})) >> 1)
          nearer = r2 * 2^{m} > r1 and n / d > (r1 + r2 * 2^{m}) / 2
          code = nearer ? 2^{k - 1} + r2 : r1
"""


def _gelu(body: Body, k: int, m: int, given: Signal, halves: Interval, nearest: bool) -> str:
    """R1 has the magnitudes of negative values, R2 the positive ones in steps of 2^m."""
    sign = f"{given.name}[{given.bits - 1}]"
    highest, lowest = max(0, halves.highest), min(0, halves.lowest)
    # A half of a positive value goes down if the nearest range is taken: ceil((n / d - 1/2)), else up.
    over, ends = (1 << m) - 1 if nearest else 0, Interval(lowest, highest)
    body.add(f"wire negative = {sign};")
    high = given
    if nearest:
        body.add("wire above = inexact & ~negative;")
        ends = Interval(lowest, highest + 1)
        high = body.sum("ceiling", ends, given, Signal("above", 1), signed=True)
    whole = ends + Interval(over, over)
    nudged = body.sum("coarse_nudged", whole, high, over, signed=True) if over else high
    coarse = body.shifted(
        "coarse", Interval(whole.lowest >> m, whole.highest >> m), nudged, m, signed=True, keep=not over
    )
    positive = Interval(0, highest + 1 >> m if not nearest else whole.highest >> m)
    chosen_ends = Interval(lowest, max(0, positive.highest))
    chosen = body.choice("chosen", chosen_ends, "negative", given, coarse)
    interval = Interval(chosen_ends.lowest, chosen_ends.highest + 1)
    summed = body.sum("nudged", interval, chosen, Signal("negative", 1) if nearest else 1, signed=True)
    rounded_ends = Interval(interval.lowest >> 1, interval.highest >> 1)
    rounded = body.shifted("rounded", rounded_ends, summed, 1, signed=True)
    farthest = max(-rounded_ends.lowest, rounded_ends.highest)
    size = body.signal("size", Interval(0, farthest))
    given_size = rounded.to(size.bits)
    body.add(wire(size, f"{rounded.name}[{rounded.bits - 1}] ? -({given_size}) : {given_size}"))
    magnitude = _magnitude(body, k, size, farthest)
    body.add(f"wire flag = ~{rounded.name}[{rounded.bits - 1}] & (|{rounded.name});")
    body.add(f"assign code = {{flag, {magnitude.to(k - 1)}}};")
    how = f"ceil(2 n / (d 2^{m})) >> 1" if nearest else f"((halves >> {m}) + 1) >> 1"
    return f"""
          rounded = halves < 0 ? (halves + 1) >> 1 : {how}
          magnitude = min(|rounded|, 2^{k - 1} - 1)
          code = magnitude + (rounded > 0 ? 2^{k - 1} : 0)
"""
