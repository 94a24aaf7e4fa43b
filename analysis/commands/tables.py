"""Make the papers' tables, ours beside theirs: in the terminal, as Markdown and LaTeX, the data behind them as CSV.

Options of a table are given as *-O name=value*, for instance *-O images=500*; *-O help* lists them. Whatever is
finished is kept: after an interruption the same command goes on where it stopped.
"""

from __future__ import annotations

from ..framework.registry import TABLES
from .run import command

tables = command(TABLES)
