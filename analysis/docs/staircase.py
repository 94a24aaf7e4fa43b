"""Staircases: piecewise constant functions, drawn so that it is seen to which step a jump itself belongs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..framework import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = 2.6


def staircase(axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], jumps: NDArray[np.float64]) -> None:
    """Draw the steps of a function.

    Parameters
    ----------
    axes : Axes
        Where to.
    x, y : float64 array
        Samples on an even grid that all jumps are on; a step begins and ends where ``y`` changes.
    jumps : float64 array
        Where the function may jump: a dot is filled where the function has that value, and open where it has not.
    """
    spacing = x[1] - x[0]
    starts = np.flatnonzero(np.diff(y, prepend=np.nan) != 0)
    ends = np.append(starts[1:], len(x)) - 1
    for first, last in zip(starts, ends, strict=True):
        left = x[first] if first == 0 or x[first] in jumps else x[first] - spacing
        right = x[last] if last == len(x) - 1 or x[last] in jumps else x[last] + spacing
        axes.plot([left, right], [y[first]] * 2, color=style.BLUE, solid_capstyle="butt")
        for at, sample in ((left, x[first]), (right, x[last])):
            if at in jumps:
                fill = style.BLUE if at == sample else "white"
                axes.plot(
                    at, y[first], "o", color=style.BLUE, markerfacecolor=fill, markersize=SIZE, markeredgewidth=0.7
                )
