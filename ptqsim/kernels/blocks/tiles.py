"""The sums of the products of one pair of blocks, for a tile of outputs."""

from __future__ import annotations

from typing import Any

from ptqsim.kernels.codegen import vector
from ptqsim.kernels.runtime.jit import inlined


@inlined
def sum_block(strips: Any, panels: Any, area: Any, block: int, size: int, registers: Any, more: Any) -> None:
    """Put the exact sums of a block into `registers`, in the type of the lanes; of words `size` counts words.

    `area` holds the numbers of the strip and of the panel, and how many columns are needed. `more` is not used.
    """
    strip, panel, width = area
    depth = strips.shape[2]
    first = block * size
    zero = strips.dtype.type(0)
    vector.sums(
        strips,
        strip * depth,
        first,
        first + size,
        panels,
        panel * depth,
        width,
        zero,
        zero,
        zero,
        zero,
        registers,
        more,
    )
