"""Errors of units in output codes: distances between codes, counted in values of the format."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.formats.base import NumberFormat
from ptqsim.units.target import checked_target


def steps(number_format: NumberFormat, codes: ArrayLike, expected: ArrayLike) -> NDArray[np.int64]:
    """Distance of two arrays of codes, in values of the format.

    Parameters
    ----------
    number_format : NumberFormat
        Format of both.
    codes, expected : array_like of integers
        Codes, of shapes that broadcast.

    Returns
    -------
    int64 array
        Number of values of the format that lie from one to the other: 0 if they stand for the same real, 1 for
        neighbors, with the sign of ``codes - expected``.
    """
    number_format = checked_target(number_format)
    values = np.unique(number_format.real_table())
    return np.asarray(
        np.searchsorted(values, number_format.decode(codes)) - np.searchsorted(values, number_format.decode(expected))
    )


def greatest_error(number_format: NumberFormat, codes: ArrayLike, real: ArrayLike) -> int:
    """Greatest distance of codes from those of the real results, in values of the format.

    Parameters
    ----------
    number_format : NumberFormat
        Format of the codes.
    codes : array_like of integers
        Codes that a unit gave.
    real : array_like of floats
        Results of the real function, in the shape of `codes`; each is encoded by the format.
    """
    number_format = checked_target(number_format)
    return int(np.abs(steps(number_format, codes, number_format.encode(real))).max(initial=0))
