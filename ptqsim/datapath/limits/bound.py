"""A bound: the values that a register may have to hold, and the reason."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ptqsim.datapath.spec import bits_for
from ptqsim.formats.arrays.immutable import Constructed, sealed


@dataclass(frozen=True, slots=True)
class Bound(Constructed):
    """The range of the values that a register may have to hold.

    Parameters
    ----------
    name : str
        Name of the bound: "datatype", "weight_aware", "row_stochastic" or "calibrated".
    kind : str
        "theorem": nothing outside can occur. "observation": nothing outside was seen.
    lowest, highest : int
        The least and the greatest sum.
    why : str
        The argument, with its numbers.
    per_output : int64 array, optional
        Bits per output column, where the bound tells them apart; read-only.
    """

    name: str
    kind: str
    lowest: int
    highest: int
    why: str
    per_output: NDArray[np.int64] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.per_output is not None:
            object.__setattr__(self, "per_output", sealed(self.per_output))

    @property
    def bits(self) -> int:
        """Width of the narrowest legal register, of two bits or more, that holds them all in two's complement."""
        return bits_for(self.lowest, self.highest)

    def __str__(self) -> str:
        return f"{self.bits} bits ({self.name} {self.kind}): {self.why}"
