"""Formats whose ranges no shift aligns: they encode and decode, and no datapath here adds their codes."""

from __future__ import annotations

from abc import abstractmethod
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from ptqsim.formats.base import GridRange, NumberFormat


class Unaligned(NumberFormat):
    """A format without a common grid; whoever asks for one gets the format's own reason."""

    __slots__ = ()

    @property
    def shift(self) -> int:
        """0: nothing is shifted."""
        return 0

    @property
    def shift_alignable(self) -> bool:
        """False: no shift aligns the ranges."""
        return False

    def ranges(self) -> tuple[GridRange, ...]:
        """Refused: no shift aligns the ranges."""
        self._refuse()

    def aligned_table(self) -> NDArray[np.int64]:
        """Refused: no shift aligns the ranges."""
        self._refuse()

    @abstractmethod
    def _refuse(self) -> NoReturn:
        """Raise the ValueError that says why, and what to use instead."""
