"""The groups of `vector` in NumPy: what they are defined as, and what runs without a compiler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ptqsim.kernels.codegen.geometry import COLUMNS, ROWS

_Rule = Callable[[Any, Any, Any, Any], Any]
"""The value that a register holds after an addition: of the sum, the two limits of the register, and `more`."""


def _clamped(total: Any, least: Any, greatest: Any, more: Any) -> Any:
    """The nearest value in the range; `more` counts the sums that were changed."""
    new = np.clip(total, least, greatest)
    np.add(more, new != total, out=more)
    return new


def _wrapped(total: Any, drop: Any, _: Any, more: Any) -> Any:
    """The low bits, without so many of the high ones; `more` counts the sums that were changed."""
    new = (total << drop) >> drop
    np.add(more, new != total, out=more)
    return new


def _seen_inside(total: Any, _: Any, __: Any, more: Any) -> Any:
    """The sum as it is; `more` goes down to the least and up to the greatest of each column."""
    more[0] = np.minimum(more[0], total.min(axis=0))
    more[1] = np.maximum(more[1], total.max(axis=0))
    return total


def _seen(total: Any, _: Any, __: Any, more: Any) -> Any:
    """The same for outer registers."""
    return _seen_inside(total, _, __, more[2:])


def _group(inner: _Rule, outer: _Rule, *, counted: bool = True, on: bool = False) -> Callable[..., None]:
    """The group of these rules for inner and outer registers; with `on`, from the stored registers on."""

    def run(
        strips: Any, strip: int, start: int, stop: int, panels: Any, panel: int, columns: int,
        inner_low: Any, inner_high: Any, low: Any, high: Any, registers: Any, more: Any,
    ) -> None:  # fmt: skip
        found = more if counted else np.zeros((ROWS, COLUMNS), np.int32)
        register = registers.copy() if on else np.zeros(registers.shape, strips.dtype)
        x, w = strips.reshape(-1, ROWS), panels.reshape(-1, COLUMNS)
        for k in range(start, stop):
            register = inner(register + x[strip + k, :, None] * w[panel + k], inner_low, inner_high, found)
        registers[:] = register if on else outer(registers + register, low, high, found)

    return run


saturate_counted = _group(_clamped, _clamped)
wrap_counted = _group(_wrapped, _wrapped)
saturate_in_wrap_counted = _group(_clamped, _wrapped)
wrap_in_saturate_counted = _group(_wrapped, _clamped)

saturate = _group(_clamped, _clamped, counted=False)
wrap = _group(_wrapped, _wrapped, counted=False)
saturate_in_wrap = _group(_clamped, _wrapped, counted=False)
wrap_in_saturate = _group(_wrapped, _clamped, counted=False)

saturate_counted_on = _group(_clamped, _clamped, on=True)
wrap_counted_on = _group(_wrapped, _wrapped, on=True)
saturate_on = _group(_clamped, _clamped, counted=False, on=True)
wrap_on = _group(_wrapped, _wrapped, counted=False, on=True)

prefixes = _group(_seen_inside, _seen)
_prefixes_on = _group(_seen_inside, _seen, on=True)


def prefixes_on(*arguments: Any) -> None:
    """As `prefixes`, from the stored registers on, whose last sums are those of outer registers too."""
    _prefixes_on(*arguments)
    registers, more = arguments[-2:]
    _seen(registers, None, None, more)


def sums(
    strips: Any, strip: int, start: int, stop: int, panels: Any, panel: int, columns: int,
    inner_low: Any, inner_high: Any, low: Any, high: Any, registers: Any, more: Any,
) -> None:  # fmt: skip
    """Never bounded, and put in place of the registers; words of two int16 are for compiled code only."""
    x, w = strips.reshape(-1, ROWS), panels.reshape(-1, COLUMNS)
    registers[:] = x[strip + start : strip + stop].T @ w[panel + start : panel + stop]
