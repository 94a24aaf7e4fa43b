"""Rounding of quotients to integers, and the range choice of twin formats."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ptqsim.common.choice import Choice


class RoundingMode(Choice):
    """Rounding of x / scale. The modes differ only at fractions of exactly one half, except for the last.

    ================ ======================================== ===== ===== ===== =====
    mode             at one half it goes                       -1.5  -0.5   0.5   1.5
    ================ ======================================== ===== ===== ===== =====
    ``half_even``    to the even neighbor (IEEE, the default)    -2     0     0     2
    ``half_away``    away from zero                              -2    -1     1     2
    ``half_up``      toward positive infinity                    -1     0     1     2
    ``toward_zero``  toward zero, as every other fraction        -1     0     0     1
    ================ ======================================== ===== ===== ===== =====
    """

    HALF_EVEN = "half_even"
    HALF_AWAY = "half_away"
    HALF_UP = "half_up"
    TOWARD_ZERO = "toward_zero"

    def of_reals(self, quotients: NDArray[Any]) -> NDArray[Any]:
        """Every value of a float array as an integer of the same float type."""
        ties = TIES[self]
        if ties.to_even:
            return np.asarray(np.rint(quotients))
        up, down = ties.thresholds(quotients.dtype)
        whole = np.trunc(quotients)
        with np.errstate(invalid="ignore"):  # the fraction of an infinite quotient
            fraction = quotients - whole
        return np.asarray(whole + (fraction >= up) - (fraction <= down).astype(whole.dtype))


class RangeChoice(Choice):
    """Rule by which a twin format chooses between its two ranges.

    ``paper``: by the real value, which is then rounded and clamped inside its range (PTQ4ViT, Eq. 4).
    ``nearest``: the code with the least distance to the real value; of two equally near ones the smaller magnitude.
    """

    PAPER = "paper"
    NEAREST = "nearest"


class Ties(NamedTuple):
    """Rounding as truncation and a correction that depends on the fraction f = t - trunc(t), which is exact.

    Parameters
    ----------
    to_even : bool, optional
        Half to even, an instruction of its own; the rest is not used then.
    positive_away : bool, optional
        True if a fraction of +1/2 is corrected by +1, as every greater one is.
    negative_away : bool, optional
        True if a fraction of -1/2 is corrected by -1, as every lesser one is.
    never : bool, optional
        No correction at all.
    """

    to_even: bool = False
    positive_away: bool = False
    negative_away: bool = False
    never: bool = False

    def thresholds(self, dtype: np.dtype[Any]) -> tuple[Any, Any]:
        """The least fraction that is corrected by +1, and the greatest that is corrected by -1, in `dtype`."""
        kind = dtype.type
        at_half, above_half, one = kind(0.5), np.nextafter(kind(0.5), kind(1)), kind(1)
        if self.never:
            return one, -one
        return (at_half if self.positive_away else above_half), -(at_half if self.negative_away else above_half)

    def of_kernels(self, dtype: np.dtype[Any]) -> tuple[bool, Any, Any]:
        """Arguments of kernels for a rounding: True for half even, and the thresholds."""
        return self.to_even, *self.thresholds(dtype)


# The rounding of the nearest range choice. It is not a mode, as it is not available anywhere else.
TIES_TO_ZERO = Ties()

TIES = {
    RoundingMode.HALF_EVEN: Ties(to_even=True),
    RoundingMode.HALF_AWAY: Ties(positive_away=True, negative_away=True),
    RoundingMode.HALF_UP: Ties(positive_away=True),
    RoundingMode.TOWARD_ZERO: Ties(never=True),
}
