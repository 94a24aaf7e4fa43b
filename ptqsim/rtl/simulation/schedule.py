"""Schedules of the streams: the cycles in which a source offers data and a sink takes results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_LENGTH = 1021  # prime, so that a pattern does not keep step with the depth of a product
PATIENCE: Final = 20
TAKE = 7
"""Bit of a pattern that says that a result may be taken; the lower ones say it of offers."""


@dataclass(frozen=True, slots=True)
class CycleSchedule:
    """Gaps between offers, and between a result and its taking.

    Parameters
    ----------
    seed : int, optional
        None for no gaps at all; else offers are made, and results taken, in about two of three cycles.
    patience : int, optional
        Cycles per transfer after which a module that should have finished is taken for dead.
    """

    seed: int | None = None
    patience: int = PATIENCE

    def pattern(self, streams: int) -> NDArray[np.uint8]:
        """One byte per cycle, repeated: bit s lets stream s make an offer, bit 7 lets a result be taken."""
        every = sum(1 << s for s in range(streams)) | 1 << TAKE
        if self.seed is None:
            return np.array([every], np.uint8)
        random = np.random.default_rng(self.seed)
        bits = random.integers(0, 3, (_LENGTH, 8)) > 0
        return (np.packbits(bits, axis=1, bitorder="little")[:, 0] & every).astype(np.uint8)

    def limit(self, transfers: int) -> int:
        """Cycles after which a module that should have finished is taken for dead."""
        return 100 + self.patience * transfers
