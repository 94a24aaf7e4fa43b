"""The groups of `vector` in NumPy: what they are defined as, and what runs without a compiler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ptqsim.kernels.codegen.geometry import COLUMNS, ROWS


def _run(
    strips: Any, strip: int, start: int, stop: int, panels: Any, panel: int, registers: Any,
    inner: Callable[[Any], Any], outer: Callable[[Any], Any], on: bool = False,
) -> None:  # fmt: skip
    register = registers.copy() if on else np.zeros(registers.shape, strips.dtype)
    x, w = strips.reshape(-1, ROWS), panels.reshape(-1, COLUMNS)
    for k in range(start, stop):
        register = inner(register + x[strip + k, :, None] * w[panel + k])
    registers[:] = register if on else outer(registers + register)


def _clamped(total: Any, least: Any, greatest: Any, more: Any) -> Any:
    new = np.clip(total, least, greatest)
    np.add(more, new != total, out=more)
    return new


def _wrapped(total: Any, drop: Any, more: Any) -> Any:
    new = (total << drop) >> drop
    np.add(more, new != total, out=more)
    return new


def saturate_counted(
    strips: Any, strip: int, start: int, stop: int, panels: Any, panel: int, columns: int,
    inner_low: Any, inner_high: Any, low: Any, high: Any, registers: Any, more: Any, on: bool = False,
) -> None:  # fmt: skip
    """Clamp after every addition, and count the additions that were clamped."""
    _run(
        strips, strip, start, stop, panels, panel, registers,
        lambda total: _clamped(total, inner_low, inner_high, more), lambda total: _clamped(total, low, high, more), on,
    )  # fmt: skip


def wrap_counted(
    strips: Any, strip: int, start: int, stop: int, panels: Any, panel: int, columns: int,
    inner_low: Any, inner_high: Any, low: Any, high: Any, registers: Any, more: Any, on: bool = False,
) -> None:  # fmt: skip
    """Keep the low bits after every addition, and count the additions that lost some."""
    _run(
        strips, strip, start, stop, panels, panel, registers,
        lambda total: _wrapped(total, inner_low, more), lambda total: _wrapped(total, low, more), on,
    )  # fmt: skip


def saturate_in_wrap_counted(
    strips: Any, strip: int, start: int, stop: int, panels: Any, panel: int, columns: int,
    inner_low: Any, inner_high: Any, low: Any, high: Any, registers: Any, more: Any,
) -> None:  # fmt: skip
    """Clamp inner registers and keep the low bits of outer ones, and count the additions that were changed."""
    _run(
        strips, strip, start, stop, panels, panel, registers,
        lambda total: _clamped(total, inner_low, inner_high, more), lambda total: _wrapped(total, low, more),
    )  # fmt: skip


def wrap_in_saturate_counted(
    strips: Any, strip: int, start: int, stop: int, panels: Any, panel: int, columns: int,
    inner_low: Any, inner_high: Any, low: Any, high: Any, registers: Any, more: Any,
) -> None:  # fmt: skip
    """Keep the low bits of inner registers and clamp outer ones, and count the additions that were changed."""
    _run(
        strips, strip, start, stop, panels, panel, registers,
        lambda total: _wrapped(total, inner_low, more), lambda total: _clamped(total, low, high, more),
    )  # fmt: skip


def saturate_in_wrap(
    strips: Any, strip: int, start: int, stop: int, panels: Any, panel: int, columns: int,
    inner_low: Any, inner_high: Any, low: Any, high: Any, registers: Any, more: Any,
) -> None:  # fmt: skip
    """As `saturate_in_wrap_counted`, without the count."""
    counts = np.zeros((ROWS, COLUMNS), np.int32)
    saturate_in_wrap_counted(
        strips, strip, start, stop, panels, panel, columns, inner_low, inner_high, low, high, registers, counts
    )


def wrap_in_saturate(
    strips: Any, strip: int, start: int, stop: int, panels: Any, panel: int, columns: int,
    inner_low: Any, inner_high: Any, low: Any, high: Any, registers: Any, more: Any,
) -> None:  # fmt: skip
    """As `wrap_in_saturate_counted`, without the count."""
    counts = np.zeros((ROWS, COLUMNS), np.int32)
    wrap_in_saturate_counted(
        strips, strip, start, stop, panels, panel, columns, inner_low, inner_high, low, high, registers, counts
    )


def saturate(
    strips: Any, strip: int, start: int, stop: int, panels: Any, panel: int, columns: int,
    inner_low: Any, inner_high: Any, low: Any, high: Any, registers: Any, more: Any,
) -> None:  # fmt: skip
    """As `saturate_counted`, without the count."""
    counts = np.zeros((ROWS, COLUMNS), np.int32)
    saturate_counted(
        strips, strip, start, stop, panels, panel, columns, inner_low, inner_high, low, high, registers, counts
    )


def wrap(
    strips: Any, strip: int, start: int, stop: int, panels: Any, panel: int, columns: int,
    inner_low: Any, inner_high: Any, low: Any, high: Any, registers: Any, more: Any,
) -> None:  # fmt: skip
    """As `wrap_counted`, without the count."""
    counts = np.zeros((ROWS, COLUMNS), np.int32)
    wrap_counted(
        strips, strip, start, stop, panels, panel, columns, inner_low, inner_high, low, high, registers, counts
    )


def prefixes(
    strips: Any, strip: int, start: int, stop: int, panels: Any, panel: int, columns: int,
    inner_low: Any, inner_high: Any, low: Any, high: Any, registers: Any, more: Any, on: bool = False,
) -> None:  # fmt: skip
    """Never bounded; `more` goes down to the least and up to the greatest sums of each column."""

    def seen(total: Any, first: int) -> Any:
        more[first] = np.minimum(more[first], total.min(axis=0))
        more[first + 1] = np.maximum(more[first + 1], total.max(axis=0))
        return total

    _run(
        strips, strip, start, stop, panels, panel, registers,
        lambda total: seen(total, 0), lambda total: seen(total, 2), on,
    )  # fmt: skip
    if on:
        seen(registers, 2)


def saturate_on(
    strips: Any, strip: int, start: int, stop: int, panels: Any, panel: int, columns: int,
    inner_low: Any, inner_high: Any, low: Any, high: Any, registers: Any, more: Any,
) -> None:  # fmt: skip
    """As `saturate`, from the stored registers on."""
    counts = np.zeros((ROWS, COLUMNS), np.int32)
    saturate_counted(
        strips, strip, start, stop, panels, panel, columns, inner_low, inner_high, low, high, registers, counts, on=True
    )


def saturate_counted_on(
    strips: Any, strip: int, start: int, stop: int, panels: Any, panel: int, columns: int,
    inner_low: Any, inner_high: Any, low: Any, high: Any, registers: Any, more: Any,
) -> None:  # fmt: skip
    """As `saturate_counted`, from the stored registers on."""
    saturate_counted(
        strips, strip, start, stop, panels, panel, columns, inner_low, inner_high, low, high, registers, more, on=True
    )


def wrap_on(
    strips: Any, strip: int, start: int, stop: int, panels: Any, panel: int, columns: int,
    inner_low: Any, inner_high: Any, low: Any, high: Any, registers: Any, more: Any,
) -> None:  # fmt: skip
    """As `wrap`, from the stored registers on."""
    counts = np.zeros((ROWS, COLUMNS), np.int32)
    wrap_counted(
        strips, strip, start, stop, panels, panel, columns, inner_low, inner_high, low, high, registers, counts, on=True
    )


def wrap_counted_on(
    strips: Any, strip: int, start: int, stop: int, panels: Any, panel: int, columns: int,
    inner_low: Any, inner_high: Any, low: Any, high: Any, registers: Any, more: Any,
) -> None:  # fmt: skip
    """As `wrap_counted`, from the stored registers on."""
    wrap_counted(
        strips, strip, start, stop, panels, panel, columns, inner_low, inner_high, low, high, registers, more, on=True
    )


def prefixes_on(
    strips: Any, strip: int, start: int, stop: int, panels: Any, panel: int, columns: int,
    inner_low: Any, inner_high: Any, low: Any, high: Any, registers: Any, more: Any,
) -> None:  # fmt: skip
    """As `prefixes`, from the stored registers on."""
    prefixes(
        strips, strip, start, stop, panels, panel, columns, inner_low, inner_high, low, high, registers, more, on=True
    )
