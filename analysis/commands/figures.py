"""Draw the papers' figures from a model, and those that hardware needs: PDF, SVG and PNG, the data behind them as CSV.

Options of a figure are given as *-O name=value*, for instance *-O bits=6*; *-O help* lists them. Whatever is finished
is kept: after an interruption the same command goes on where it stopped.
"""

from __future__ import annotations

from ..framework.registry import FIGURES
from .run import command

figures = command(FIGURES)
