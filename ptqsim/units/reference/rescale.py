"""`Rescale` in Python integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ptqsim.units.constants import spread
from ptqsim.units.reference import target

if TYPE_CHECKING:
    from ptqsim.units.protocol import Trace
    from ptqsim.units.rescale import Rescale


def trace(unit: Rescale, acc: Sequence[int]) -> Trace:
    """Every value of one row."""
    n = len(acc)
    bias, mantissa, shift = (spread(one, n) for one in (unit.bias, unit.multiplier.mantissa, unit.multiplier.shift))
    biased = [a + b for a, b in zip(acc, bias, strict=True)]
    product = [v * m for v, m in zip(biased, mantissa, strict=True)]
    codes = [target.shifted(p, s, unit.out_format) for p, s in zip(product, shift, strict=True)]
    return {
        "biased": biased,
        "product": product,
        "nudged": [one.nudged for one in codes],
        "rounded": [one.rounded for one in codes],
        "code": [one.code for one in codes],
    }
