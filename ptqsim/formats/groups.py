"""Codes of groups of reals that have formats of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptqsim.formats.base import Codes, NumberFormat
from ptqsim.kernels.runtime.environment import in_default_environment


@in_default_environment
def encode_groups(formats: Sequence[NumberFormat], reals: NDArray[Any]) -> Codes:
    """Codes of groups of reals, each group in a format of its own, of which all have codes of one width.

    Parameters
    ----------
    formats : sequence of G formats, or of one for all groups
        Formats that nobody else could have changed: they are not checked anew, which takes longer than few values do.
    reals : float32 or float64 array [G, ...]
        C-contiguous.

    Returns
    -------
    array [G, ...]
    """
    if len(formats) == 1:
        return formats[0]._encode(reals)
    codes: NDArray[Any] = np.stack([fmt._encode(group) for fmt, group in zip(formats, reals, strict=True)])
    return codes
