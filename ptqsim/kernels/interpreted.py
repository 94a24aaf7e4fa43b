"""The groups of `vector` in NumPy: what they are defined as, and what runs without a compiler."""

from __future__ import annotations

from typing import Any

import numpy as np

ROWS = 4
COLUMNS = 64


def _totals(a: Any, row: int, last: int, k: int, panel: Any, registers: Any) -> Any:
    rows = np.minimum(np.arange(row, row + ROWS), last)
    return registers + a[rows, k, None] * panel[k]


def saturate_counted(
    a: Any, row: int, last: int, start: int, stop: int, panel: Any, low: Any, high: Any, registers: Any, more: Any
) -> None:
    """Clamp after every addition, and count the additions that were clamped."""
    registers[:] = 0
    for k in range(start, stop):
        total = _totals(a, row, last, k, panel, registers)
        registers[:] = np.clip(total, low, high)
        more += registers != total


def wrap_counted(
    a: Any, row: int, last: int, start: int, stop: int, panel: Any, low: Any, high: Any, registers: Any, more: Any
) -> None:
    """Keep the low bits after every addition, and count the additions that lost some."""
    registers[:] = 0
    for k in range(start, stop):
        total = _totals(a, row, last, k, panel, registers)
        registers[:] = (total << low) >> low
        more += registers != total


def saturate(
    a: Any, row: int, last: int, start: int, stop: int, panel: Any, low: Any, high: Any, registers: Any, more: Any
) -> None:
    """As `saturate_counted`, without the count."""
    saturate_counted(a, row, last, start, stop, panel, low, high, registers, np.zeros((ROWS, COLUMNS), np.int32))


def wrap(
    a: Any, row: int, last: int, start: int, stop: int, panel: Any, low: Any, high: Any, registers: Any, more: Any
) -> None:
    """As `wrap_counted`, without the count."""
    wrap_counted(a, row, last, start, stop, panel, low, high, registers, np.zeros((ROWS, COLUMNS), np.int32))


def prefixes(
    a: Any, row: int, last: int, start: int, stop: int, panel: Any, low: Any, high: Any, registers: Any, more: Any
) -> None:
    """Never bounded; ``more[0]`` goes down to the least sum of each column and ``more[1]`` up to the greatest."""
    registers[:] = 0
    for k in range(start, stop):
        registers[:] = _totals(a, row, last, k, panel, registers)
        more[0] = np.minimum(more[0], registers.min(axis=0))
        more[1] = np.maximum(more[1], registers.max(axis=0))
