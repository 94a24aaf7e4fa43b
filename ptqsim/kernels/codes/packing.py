"""Bit-packed codes, out of their stream."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptqsim.kernels.runtime.jit import jit
from ptqsim.kernels.runtime.team import shared

SPARE = 2
"""Bytes beyond the stream that `unpack` may look at: a code of up to 16 bits lies in three bytes at most."""


@jit
def unpack(start: int, stop: int, team: int, stored: Any, bits: Any, codes: Any) -> int:
    """Codes [start, stop) of a stream of `bits` bits each, LSB first."""
    start = shared(start, stop, team)
    width = np.uint64(bits)
    mask = np.uint32((1 << bits) - 1)
    for i in range(start, stop):
        position = np.uint64(i) * width
        byte, shift = position >> np.uint64(3), np.uint32(position & np.uint64(7))
        window = np.uint32(stored[byte])
        window |= np.uint32(stored[byte + np.uint64(1)]) << np.uint32(8)
        window |= np.uint32(stored[byte + np.uint64(2)]) << np.uint32(16)
        codes[i] = (window >> shift) & mask
    return 0
