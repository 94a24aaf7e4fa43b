"""`ResidualAdd` in Python integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ptqsim.units.constants import spread
from ptqsim.units.reference import target

if TYPE_CHECKING:
    from ptqsim.units.protocol import Trace
    from ptqsim.units.residual_add import ResidualAdd


def trace(unit: ResidualAdd, x: Sequence[int], acc: Sequence[int]) -> Trace:
    """Every value of one row."""
    bias, m1, m2 = (spread(one, len(x)) for one in (unit.bias, unit.m1, unit.m2))
    biased = [a + b for a, b in zip(acc, bias, strict=True)]
    stream = [v * m for v, m in zip(x, m1, strict=True)]
    branch = [v * m for v, m in zip(biased, m2, strict=True)]
    total = [s + b for s, b in zip(stream, branch, strict=True)]
    codes = [target.shifted(value, unit.shift, unit.out_format) for value in total]
    return {
        "biased": biased,
        "stream": stream,
        "branch": branch,
        "total": total,
        "nudged": [one.nudged for one in codes],
        "rounded": [one.rounded for one in codes],
        "code": [one.code for one in codes],
    }
