"""`Activation` in Python integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from ptqsim.units.reference import rescale

if TYPE_CHECKING:
    from ptqsim.units.activation_units.activation import Activation
    from ptqsim.units.protocol import Trace


def trace(unit: Activation, acc: Sequence[int]) -> Trace:
    """Every value of one row; `index` is the pre-activation code."""
    found = rescale.trace(unit.rescale, acc)
    index = cast("list[int]", found.pop("code"))
    return found | {"index": index, "code": [unit.table[one] for one in index]}
